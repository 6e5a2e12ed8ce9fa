package gitops

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
)

// file is an open blob.
type file struct {
	*bytes.Reader
	info info
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// dir is an open folder.
type dir struct {
	info info
	list []fs.DirEntry
	pos  int
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }

func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.list[d.pos:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.pos += len(rest)
	return append([]fs.DirEntry{}, rest...), nil
}

// dirEntry reads the size only when asked for.
type dirEntry struct {
	snap  *Snapshot
	entry entry
}

func (d dirEntry) Name() string               { return string(d.entry.name) }
func (d dirEntry) IsDir() bool                { return d.entry.isDir() }
func (d dirEntry) Type() fs.FileMode          { return d.entry.fsMode().Type() }
func (d dirEntry) Info() (fs.FileInfo, error) { return d.snap.stat(d.entry) }
func (d dirEntry) String() string             { return fs.FormatDirEntry(d) }
