package gitops

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

const (
	// A note may be of megabytes, and each write of it makes another one that is read once: such are neither cached
	// nor gathered in pieces. Delta bases that pay are smaller.
	largeObject = 2 << 20
	// Every fetch adds a pack, so descriptors are bounded.
	maxOpenPacks = 16
	// A registry holds text. Weights live elsewhere, and a blob is read whole into memory.
	maxBlob = 64 << 20
	// A length takes some 50 bytes.
	maxSizes = 100_000
)

// store reads objects and refs. go-git's storage is not safe for concurrent use and answers "not found"
// for objects that `git gc` moved to a pack it has not seen, or with a file error from a pack that is
// gone; so it is used under a mutex and opened anew once before an error is believed.
type store struct {
	gitdir, common string // they differ in a linked worktree

	mu sync.Mutex
	st *filesystem.Storage
	// sizes are lengths of blobs that were asked for or read: a blob's never changes.
	sizes map[Hash]int64
}

func newStore(gitdir, common string) *store {
	s := &store{gitdir: gitdir, common: common}
	s.st = s.open()
	return s
}

func (s *store) open() *filesystem.Storage {
	var dir billy.Filesystem = osfs.New(s.gitdir)
	if s.common != s.gitdir {
		dir = dotgit.NewRepositoryFilesystem(dir, osfs.New(s.common))
	}
	return filesystem.NewStorageWithOptions(dir, newObjectCache(), filesystem.Options{
		MaxOpenDescriptors:   maxOpenPacks,
		LargeObjectThreshold: largeObject,
		AlternatesFS:         osfs.New("/"),
	})
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st.Close()
}

// refresh makes packs written or removed by others visible.
func (s *store) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reopen()
}

func (s *store) reopen() {
	_ = s.st.Close() // only descriptors of packs that were read
	s.st = s.open()
}

func (s *store) with(f func(*filesystem.Storage) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := f(s.st)
	if err != nil {
		s.reopen()
		err = f(s.st)
	}
	return err
}

func (s *store) read(t plumbing.ObjectType, h Hash) (data []byte, err error) {
	err = s.with(func(st *filesystem.Storage) error {
		if data, err = readObject(st, t, h); err == nil && t == plumbing.BlobObject {
			s.sized(h, int64(len(data)))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", t, h, err)
	}
	return data, nil
}

func readObject(st *filesystem.Storage, t plumbing.ObjectType, h Hash) ([]byte, error) {
	obj, err := st.EncodedObject(t, h)
	if err != nil {
		return nil, err
	}
	if obj.Size() > maxBlob {
		return nil, fmt.Errorf("%d bytes, more than the %d davit reads from Git: %w", obj.Size(), maxBlob, syscall.EFBIG)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, obj.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return data, nil
}

// size is a blob's length, from its header where the store has it. go-git reads the pack for it each time,
// which takes 26 µs, and who lists folders asks again and again.
func (s *store) size(h Hash) (n int64, err error) {
	s.mu.Lock()
	n, ok := s.sizes[h]
	s.mu.Unlock()
	if ok {
		return n, nil
	}
	err = s.with(func(st *filesystem.Storage) error {
		if n, err = st.EncodedObjectSize(h); err != nil {
			obj, err := st.EncodedObject(plumbing.BlobObject, h) // looks into alternates too
			if err != nil {
				return err
			}
			n = obj.Size()
		}
		s.sized(h, n)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("reading blob %s: %w", h, err)
	}
	return n, nil
}

// sized remembers a length; s.mu is held.
func (s *store) sized(h Hash, n int64) {
	if s.sizes == nil || len(s.sizes) >= maxSizes {
		s.sizes = map[Hash]int64{}
	}
	s.sizes[h] = n
}

func (s *store) typ(h Hash) (t plumbing.ObjectType, err error) {
	err = s.with(func(st *filesystem.Storage) error {
		obj, err := st.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return err
		}
		t = obj.Type()
		return nil
	})
	return t, err
}

// ref resolves symbolic refs. It never retries: a missing ref is an answer, not a stale index.
func (s *store) ref(name plumbing.ReferenceName) (Hash, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := storer.ResolveReference(s.st, name)
	if err != nil {
		return Hash{}, err
	}
	return r.Hash(), nil
}

// head is the branch HEAD names, also an unborn one; "" when HEAD is detached.
func (s *store) head() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.Reference(plumbing.HEAD)
	if err != nil || r.Type() != plumbing.SymbolicReference {
		return "", err
	}
	return r.Target().Short(), nil
}

// setHead is for mirrors; a local repository's HEAD is the user's.
func (s *store) setHead(branch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st.SetReference(plumbing.NewSymbolicReference(plumbing.HEAD, plumbing.NewBranchReferenceName(branch)))
}

// setRef is for mirrors. The zero hash removes the ref.
func (s *store) setRef(name plumbing.ReferenceName, h Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.IsZero() {
		return s.st.RemoveReference(name)
	}
	return s.st.SetReference(plumbing.NewHashReference(name, h))
}

// has says whether an object is here, as far as the packs that are known now tell.
func (s *store) has(h Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st.HasEncodedObject(h) == nil
}

// missing are the targets of refs that are not here, each once.
func (s *store) missing(refs map[plumbing.ReferenceName]Hash) (out []Hash) {
	for _, h := range refs {
		if !h.IsZero() && !slices.Contains(out, h) && !s.has(h) {
			out = append(out, h)
		}
	}
	return out
}

// haves are commits of refs to tell a server of. None is a clone.
func (s *store) haves(refs ...plumbing.ReferenceName) (out []Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range refs {
		out = append(out, s.havesOf(ref)...)
	}
	return out
}

func (s *store) havesOf(name plumbing.ReferenceName) (out []Hash) {
	ref, err := storer.ResolveReference(s.st, name)
	if err != nil {
		return nil
	}
	h, step, next := ref.Hash(), 0, 0
	if s.st.HasEncodedObject(h) != nil {
		s.reopen() // another process fetched it
	}
	if tag, err := object.GetTag(s.st, h); name.IsTag() && err == nil {
		h = tag.Target
	}
	for len(out) < maxHaves {
		c, err := object.GetCommit(s.st, h)
		if err != nil {
			return out
		}
		if step == next {
			out, next = append(out, h), max(1, 2*next)
		}
		if c.NumParents() == 0 {
			return out
		}
		h, step = c.ParentHashes[0], step+1
	}
	return out
}

// writePack adds the pack that a server sends. It becomes visible whole, also to others: the index is renamed
// into place after the pack was read to its end. Readers do not wait for the network.
func (s *store) writePack(from io.Reader) error {
	s.mu.Lock()
	w, err := s.st.PackfileWriter()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, from)
	s.mu.Lock()
	defer s.mu.Unlock()
	// It also adds the pack to the index in memory, or every fetch would read the indexes of all packs again.
	return errors.Join(err, w.Close())
}

func (s *store) shallow() (map[Hash]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hs, err := s.st.Shallow()
	if err != nil {
		return nil, fmt.Errorf("reading the shallow file: %w", err)
	}
	m := make(map[Hash]bool, len(hs))
	for _, h := range hs {
		m[h] = true
	}
	return m, nil
}

func (s *store) index() (*index.Index, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st.Index()
}

func (s *store) withPrefix(prefix []byte) (hs []Hash, err error) {
	err = s.with(func(st *filesystem.Storage) error {
		hs, err = st.HashesWithPrefix(prefix)
		return err
	})
	return hs, err
}

// supported refuses repositories go-git would misread.
func (s *store) supported() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg, err := s.st.Config()
	if err != nil {
		return fmt.Errorf("reading its config: %w", err)
	}
	ext := cfg.Raw.Section("extensions")
	if f := ext.Option("objectformat"); f != "" && f != "sha1" {
		return fmt.Errorf("it uses %s object ids; davit reads SHA-1 repositories only", f)
	}
	if f := ext.Option("refstorage"); f != "" && f != "files" {
		return fmt.Errorf("it keeps refs as %s; convert it with git refs migrate --ref-format=files", f)
	}
	return nil
}

// fileMode is core.fileMode: whether the file system keeps the executable bit.
func (s *store) fileMode() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg, err := s.st.Config()
	return err != nil || cfg.Raw.Section("core").Option("filemode") != "false"
}

// bare says that there is no worktree beside the repository, whose HEAD then stands for nothing checked out. It needs s.mu.
func (s *store) bare() bool {
	cfg, err := s.st.Config()
	return err == nil && cfg.Raw.Section("core").Option("bare") == "true"
}
