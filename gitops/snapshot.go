package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Snapshot is a commit and its tree as a file system, read from objects on demand. It never changes and
// is safe for concurrent use. Symlinks are files whose content is the target and are never followed;
// submodules are empty files of mode fs.ModeIrregular; an LFS pointer is the pointer, see
// LFS. ModTime is zero.
type Snapshot struct {
	commit Commit
	root   entry // of the folder
	whole  Hash  // of the commit's tree
	source *Source
	store  *store
	trees  *trees
}

var (
	_ fs.ReadDirFS  = (*Snapshot)(nil)
	_ fs.ReadFileFS = (*Snapshot)(nil)
	_ fs.StatFS     = (*Snapshot)(nil)
)

// Snapshot gives the files of a commit, below the folder where there is one.
func (s *Source) Snapshot(ctx context.Context, h Hash) (*Snapshot, error) {
	c, whole, err := s.commit(ctx, h)
	if err != nil {
		return nil, err
	}
	tree, err := s.folderTree(whole)
	if err != nil {
		return nil, err
	}
	root := entry{mode: modeDir, name: []byte("."), hash: tree}
	return &Snapshot{commit: c, root: root, whole: whole, source: s, store: s.store, trees: s.trees}, nil
}

// Hash is the commit's id.
func (s *Snapshot) Hash() Hash { return s.commit.Hash }

// Commit is the snapshot's commit.
func (s *Snapshot) Commit() Commit { return s.commit }

// Changed lists, sorted, the paths that differ from another snapshot of the same repository, as `git diff
// --no-renames --name-only` does; but a path that ends in a slash stands for all of a folder, which lies deeper than 200
// others, or beyond 200,000 paths. A nil from is the empty tree.
func (s *Snapshot) Changed(ctx context.Context, from *Snapshot) ([]string, error) {
	var base Hash
	if from != nil {
		base = from.root.hash
	}
	return s.trees.changed(ctx, base, s.root.hash)
}

// BlobHash is the hex id of a file's blob; the content is not read.
func (s *Snapshot) BlobHash(name string) (string, error) {
	e, err := s.lookup("hash", name)
	if err != nil {
		return "", err
	}
	if e.isDir() || e.mode == modeModule {
		return "", &fs.PathError{Op: "hash", Path: name, Err: errors.New("is not a file")}
	}
	return e.hash.String(), nil
}

// Open implements fs.FS.
func (s *Snapshot) Open(name string) (fs.File, error) {
	e, err := s.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if e.isDir() {
		list, err := s.list(e)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &dir{info: info{name: path.Base(name), mode: e.fsMode()}, list: list}, nil
	}
	data, err := s.content(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &file{Reader: bytes.NewReader(data), info: info{path.Base(name), e.fsMode(), int64(len(data))}}, nil
}

// ReadFile implements fs.ReadFileFS.
func (s *Snapshot) ReadFile(name string) ([]byte, error) {
	e, err := s.lookup("read", name)
	if err != nil {
		return nil, err
	}
	if e.isDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	}
	data, err := s.content(e)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// ReadDir implements fs.ReadDirFS.
func (s *Snapshot) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := s.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.isDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("is not a folder")}
	}
	list, err := s.list(e)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

// Stat implements fs.StatFS.
func (s *Snapshot) Stat(name string) (fs.FileInfo, error) {
	e, err := s.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	i, err := s.stat(e)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return i, nil
}

func (s *Snapshot) lookup(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e := s.root
	if name == "." {
		return e, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !e.isDir() {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		f, err := s.trees.get(e.hash)
		if err != nil {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
		}
		var found bool
		if e, found, err = f.find(part); err == nil && !found {
			err = fs.ErrNotExist
		}
		if err != nil {
			return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return e, nil
}

func (s *Snapshot) list(e entry) ([]fs.DirEntry, error) {
	f, err := s.trees.get(e.hash)
	if err != nil {
		return nil, err
	}
	if err := f.parse(); err != nil {
		return nil, fmt.Errorf("reading tree %s: %w", e.hash, err)
	}
	list := make([]fs.DirEntry, f.len())
	for i := range list {
		list[i] = dirEntry{snap: s, entry: f.entry(i)}
	}
	// fs wants plain name order; git's differs around folders.
	sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	return list, nil
}

func (s *Snapshot) content(e entry) ([]byte, error) {
	if e.mode == modeModule {
		return nil, nil
	}
	return s.store.read(plumbing.BlobObject, e.hash)
}

func (s *Snapshot) stat(e entry) (info, error) {
	i := info{name: string(e.name), mode: e.fsMode()}
	if e.isDir() || e.mode == modeModule {
		return i, nil
	}
	var err error
	i.size, err = s.store.size(e.hash)
	return i, err
}

func (e entry) fsMode() fs.FileMode {
	switch {
	case e.isDir():
		return fs.ModeDir | 0o555
	case e.mode == modeSymlink:
		return fs.ModeSymlink | 0o444
	case e.mode == modeModule:
		return fs.ModeIrregular | 0o444
	case e.mode&0o100 != 0:
		return 0o555
	}
	return 0o444
}

// info implements fs.FileInfo.
type info struct {
	name string
	mode fs.FileMode
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
