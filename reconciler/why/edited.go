package why

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

	"github.com/davit-dev/davit/registry"
)

// tree is a snapshot, or one with other files.
type tree interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
	registry.BlobHasher
}

// edited is a tree in which some files have another content, are new, or (nil) are not there.
type edited struct {
	tree
	files map[string][]byte
}

func (e edited) ReadFile(name string) ([]byte, error) {
	data, ok := e.files[name]
	switch {
	case !ok:
		return e.tree.ReadFile(name)
	case data == nil:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(data), nil
}

func (e edited) BlobHash(name string) (string, error) {
	data, ok := e.files[name]
	switch {
	case !ok:
		return e.tree.BlobHash(name)
	case data == nil:
		return "", &fs.PathError{Op: "hash", Path: name, Err: fs.ErrNotExist}
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (e edited) Stat(name string) (fs.FileInfo, error) {
	data, ok := e.files[name]
	switch {
	case ok && data == nil:
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	case ok:
		return node{path.Base(name), int64(len(data)), false}, nil
	}
	info, err := e.tree.Stat(name)
	if err != nil && e.hasFolder(name) {
		return node{path.Base(name), 0, true}, nil
	}
	return info, err
}

func (e edited) hasFolder(name string) bool {
	for file, data := range e.files {
		if data != nil && strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

func (e edited) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := e.tree.ReadDir(name)
	if err != nil && !e.hasFolder(name) {
		return nil, err
	}
	for file, data := range e.files {
		below := file
		if name != "." {
			var inside bool
			if below, inside = strings.CutPrefix(file, name+"/"); !inside {
				continue
			}
		}
		first, _, folder := strings.Cut(below, "/")
		at := slices.IndexFunc(list, func(d fs.DirEntry) bool { return d.Name() == first })
		switch {
		case data == nil && !folder && at >= 0:
			list = slices.Delete(list, at, at+1)
		case data != nil && at < 0:
			list = append(list, fs.FileInfoToDirEntry(node{first, int64(len(data)), folder}))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// Open is for who does not know the methods above.
func (e edited) Open(name string) (fs.File, error) {
	info, err := e.Stat(name)
	if err != nil {
		return nil, err
	}
	if _, ok := e.files[name]; !ok && !info.IsDir() {
		return e.tree.Open(name)
	}
	if info.IsDir() {
		list, err := e.ReadDir(name)
		return &opened{info: info, list: list}, err
	}
	return &opened{Reader: bytes.NewReader(e.files[name]), info: info}, nil
}

// opened is a file or folder of an edited tree.
type opened struct {
	*bytes.Reader
	info fs.FileInfo
	list []fs.DirEntry
}

func (o *opened) Stat() (fs.FileInfo, error) { return o.info, nil }
func (o *opened) Close() error               { return nil }

func (o *opened) Read(p []byte) (int, error) {
	if o.Reader == nil {
		return 0, &fs.PathError{Op: "read", Path: o.info.Name(), Err: fs.ErrInvalid}
	}
	return o.Reader.Read(p)
}

// ReadDir gives all there is at once: nobody here reads a folder in parts.
func (o *opened) ReadDir(int) ([]fs.DirEntry, error) { return o.list, nil }

// node is a file or a folder.
type node struct {
	name   string
	size   int64
	folder bool
}

func (n node) Name() string       { return n.name }
func (n node) Size() int64        { return n.size }
func (n node) ModTime() time.Time { return time.Time{} }
func (n node) IsDir() bool        { return n.folder }
func (n node) Sys() any           { return nil }
func (n node) Mode() fs.FileMode {
	if n.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
