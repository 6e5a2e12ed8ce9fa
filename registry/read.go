package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// reader reads files of one tree. It keeps what decoding can share, so each goroutine has its own.
type reader struct {
	fsys fs.FS
	cache
	err error // the first I/O error: the tree can't be trusted to be whole
}

func (rd *reader) fail(err error) {
	if rd.err == nil {
		rd.err = err
	}
}

// file reads and decodes one KRM file; a nil document means it is absent (no faults) or faulty.
func (rd *reader) file(name, kind, metadataName string, spec any) (*document, []Fault) {
	if _, followed := rd.fsys.(fs.ReadLinkFS); followed && rd.isLink(name) {
		return nil, linked(name)
	}
	data, err := fs.ReadFile(rd.fsys, name)
	if err != nil {
		info, statErr := fs.Stat(rd.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case statErr == nil && errors.Is(err, syscall.EFBIG):
			return nil, []Fault{tooLarge(name, info.Size())}
		case statErr == nil && !info.Mode().IsRegular():
			return nil, []Fault{{name, 1, "not a file; put a file of kind " + kind + " there"}}
		case errors.Is(err, fs.ErrInvalid): // its folder is malformed, and told of
		default:
			rd.fail(fmt.Errorf("reading %s: %w", name, err))
		}
		return nil, nil
	}
	doc, faults := rd.document(name, data, kind, metadataName, spec)
	if doc == nil && rd.isLink(name) { // whose target was read as if it were the text
		faults = linked(name)
	}
	return doc, faults
}

// listing is a folder's entries, ordered by name.
type listing []fs.DirEntry

// isLink says whether a file is a symlink. A worktree's leads somewhere; a commit's is a file with the target in it.
func (rd *reader) isLink(name string) bool {
	info, err := fs.Lstat(rd.fsys, name)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

func linked(name string) []Fault {
	return []Fault{{name, 1, "symlinks are not followed; put a file there"}}
}

// malformed is about a folder with names that no folder can have, as only made-up objects of Git hold.
func (rd *reader) malformed(dir string) []Fault {
	if _, err := fs.ReadDir(rd.fsys, dir); errors.Is(err, fs.ErrInvalid) {
		return []Fault{{dir, 1, "holds a name that no folder can have, or one twice (git fsck tells which); commit the folder anew"}}
	}
	return nil
}

// list is nil for what is absent, a file, a symlink or malformed. Folders of folders are not read past that.
func (rd *reader) list(dir string) listing {
	entries, err := fs.ReadDir(rd.fsys, dir)
	if err == nil {
		return entries
	}
	if info, statErr := fs.Lstat(rd.fsys, dir); !absent(err) && !errors.Is(err, fs.ErrInvalid) && (statErr != nil || info.IsDir()) {
		rd.fail(fmt.Errorf("reading %s: %w", dir, err))
	}
	return nil
}

// isDir tells a folder from all else; a symlink to one is not read.
func (rd *reader) isDir(dir string) bool {
	info, err := fs.Lstat(rd.fsys, dir)
	if err != nil && !absent(err) {
		rd.fail(fmt.Errorf("reading %s: %w", dir, err))
	}
	return err == nil && info.IsDir()
}

// absent is said by a folder on disk with ENOTDIR too, where a file stands in a parent's place.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (l listing) find(name string) fs.DirEntry {
	i, ok := slices.BinarySearchFunc(l, name, func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
	if !ok {
		return nil
	}
	return l[i]
}

func (l listing) has(name string) bool { return l.find(name) != nil }

// folders lists the names of the folders.
func (l listing) folders() (names []string) {
	for _, e := range l {
		if e.IsDir() && !hidden(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// stems lists the files of an ending, without it.
func (l listing) stems(ending string) (names []string) {
	for _, e := range l {
		if stem, ok := strings.CutSuffix(e.Name(), ending); ok && !e.IsDir() && !hidden(stem) {
			names = append(names, stem)
		}
	}
	return names
}

// misnamed is about .yml files that were meant to be read: passed over in silence, a rename would remove them.
func misnamed(dir string, l listing, meant func(stem string) bool) (faults []Fault) {
	for _, stem := range l.stems(".yml") {
		if meant(stem) {
			faults = append(faults, Fault{path.Join(dir, stem+".yml"), 1, fmt.Sprintf("only .yaml files are read; rename it to %s.yaml", stem)})
		}
	}
	return faults
}

// badName is about a name that can't become a Kubernetes name.
func badName(file, what, name string, pattern nameRule) []Fault {
	if pattern.ok(name) {
		return nil
	}
	return []Fault{{file, 1, fmt.Sprintf("%s %q is not %s; rename it", what, name, pattern.text)}}
}

// each calls read for 0…n-1 on up to GOMAXPROCS goroutines and waits for them. The error is the one of
// the lowest index, whichever came first.
func each(fsys fs.FS, n int, read func(rd *reader, i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	failed := n
	work := func() {
		rd := &reader{fsys: fsys, cache: newCache()}
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			read(rd, i)
			if rd.err != nil {
				mu.Lock()
				if i < failed {
					failed, first = i, rd.err
				}
				mu.Unlock()
				return
			}
		}
	}
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return first
}

// readAll reads the units of some places; a unit is nil where there is no folder.
func readAll[T any](fsys fs.FS, places []place, read func(*reader, place) *unit[T]) ([]*unit[T], error) {
	units := make([]*unit[T], len(places))
	err := each(fsys, len(places), func(rd *reader, i int) { units[i] = read(rd, places[i]) })
	return units, err
}
