package gitops

import (
	"bytes"
	"crypto/sha1" // git's blob ids
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Edited is a snapshot in which one file has another text. ReadDir lists it in its folder if that is there, and tells the
// old size of one that was there before.
type Edited struct {
	*Snapshot
	name string
	text []byte
}

// Edited is the snapshot with another text of one of its files; the snapshot itself stays as it is.
func (s *Snapshot) Edited(name string, text []byte) *Edited { return &Edited{s, name, text} }

// Open is of [fs.FS].
func (e *Edited) Open(name string) (fs.File, error) {
	if name != e.name {
		return e.Snapshot.Open(name)
	}
	return &editedFile{bytes.NewReader(e.text), e.info()}, nil
}

// ReadFile is of [fs.ReadFileFS].
func (e *Edited) ReadFile(name string) ([]byte, error) {
	if name != e.name {
		return e.Snapshot.ReadFile(name)
	}
	return bytes.Clone(e.text), nil
}

// ReadDir is of [fs.ReadDirFS].
func (e *Edited) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := e.Snapshot.ReadDir(name)
	if err != nil || name != path.Dir(e.name) {
		return list, err
	}
	at, there := slices.BinarySearchFunc(list, path.Base(e.name), func(d fs.DirEntry, name string) int { return strings.Compare(d.Name(), name) })
	if there {
		return list, nil
	}
	return slices.Insert(slices.Clone(list), at, fs.FileInfoToDirEntry(e.info())), nil
}

// Stat is of [fs.StatFS].
func (e *Edited) Stat(name string) (fs.FileInfo, error) {
	if name != e.name {
		return e.Snapshot.Stat(name)
	}
	return e.info(), nil
}

// BlobHash is the id that the file would have if it were committed so: a release pinned to a version has the inputs of
// the commit that changes its version line.
func (e *Edited) BlobHash(name string) (string, error) {
	if name != e.name {
		return e.Snapshot.BlobHash(name)
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00%s", len(e.text), e.text)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (e *Edited) info() editedInfo { return editedInfo{path.Base(e.name), int64(len(e.text))} }

// editedFile is the open file.
type editedFile struct {
	*bytes.Reader
	info editedInfo
}

func (f *editedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *editedFile) Close() error               { return nil }

type editedInfo struct {
	name string
	size int64
}

func (i editedInfo) Name() string       { return i.name }
func (i editedInfo) Size() int64        { return i.size }
func (i editedInfo) Mode() fs.FileMode  { return 0o444 }
func (i editedInfo) ModTime() time.Time { return time.Time{} }
func (i editedInfo) IsDir() bool        { return false }
func (i editedInfo) Sys() any           { return nil }
