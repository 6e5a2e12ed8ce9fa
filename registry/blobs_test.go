package registry_test

import (
	"crypto/sha1"
	"encoding/hex"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing/fstest"
	"time"
)

// blobs is a tree in memory that knows its blobs' hashes and lists a folder at once, as a git snapshot does.
type blobs struct {
	files  map[string]string
	hashes map[string]string
	dirs   map[string][]fs.DirEntry
	reads  atomic.Int64 // files and folders read
}

func newBlobs(files map[string]string) *blobs {
	b := &blobs{files: files, hashes: map[string]string{}, dirs: map[string][]fs.DirEntry{".": nil}}
	for name, text := range files {
		sum := sha1.Sum([]byte(text))
		b.hashes[name] = hex.EncodeToString(sum[:])
		b.add(item{path.Base(name), 0}, path.Dir(name))
	}
	for _, list := range b.dirs {
		slices.SortFunc(list, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	}
	return b
}

func (b *blobs) add(e item, dir string) {
	_, known := b.dirs[dir]
	b.dirs[dir] = append(b.dirs[dir], e)
	if !known {
		b.add(item{path.Base(dir), fs.ModeDir}, path.Dir(dir))
	}
}

func (b *blobs) missing(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (b *blobs) Open(name string) (fs.File, error) {
	if _, ok := b.dirs[name]; ok {
		return nil, fs.ErrInvalid
	}
	text, ok := b.files[name]
	if !ok {
		return nil, b.missing("open", name)
	}
	return fstest.MapFS{name: {Data: []byte(text)}}.Open(name)
}

func (b *blobs) ReadFile(name string) ([]byte, error) {
	b.reads.Add(1)
	if text, ok := b.files[name]; ok {
		return []byte(text), nil
	}
	return nil, b.missing("read", name)
}

func (b *blobs) ReadDir(name string) ([]fs.DirEntry, error) {
	b.reads.Add(1)
	if list, ok := b.dirs[name]; ok {
		return list, nil
	}
	return nil, b.missing("readdir", name)
}

func (b *blobs) Lstat(name string) (fs.FileInfo, error) { return b.Stat(name) }

func (b *blobs) ReadLink(name string) (string, error) { return "", b.missing("readlink", name) }

func (b *blobs) Stat(name string) (fs.FileInfo, error) {
	if _, ok := b.dirs[name]; ok {
		return item{path.Base(name), fs.ModeDir}, nil
	}
	if _, ok := b.files[name]; ok {
		return item{path.Base(name), 0}, nil
	}
	return nil, b.missing("stat", name)
}

func (b *blobs) BlobHash(name string) (string, error) {
	if hash, ok := b.hashes[name]; ok {
		return hash, nil
	}
	return "", b.missing("hash", name)
}

// item is a file or folder.
type item struct {
	name string
	mode fs.FileMode
}

func (i item) Name() string               { return i.name }
func (i item) Size() int64                { return 0 }
func (i item) Mode() fs.FileMode          { return i.mode }
func (i item) Type() fs.FileMode          { return i.mode.Type() }
func (i item) ModTime() time.Time         { return time.Time{} }
func (i item) IsDir() bool                { return i.mode.IsDir() }
func (i item) Sys() any                   { return nil }
func (i item) Info() (fs.FileInfo, error) { return i, nil }
