package gitops

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// update moves refs of a local repository by git's rules, so that a git that runs at the same time loses nothing: each
// ref is locked (<ref>.lock), read again under its lock, and renamed into place once all of them stood the check.
func (s *store) update(updates []refUpdate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var locks []*refLock
	defer func() {
		for _, l := range locks {
			l.release()
		}
	}()
	for _, u := range updates {
		if err := s.writable(u); err != nil {
			return err
		}
		l, err := lock(s.refFile(u.name))
		if err != nil {
			return err
		}
		locks = append(locks, l)
		now, err := s.st.Reference(u.name)
		switch {
		case errors.Is(err, plumbing.ErrReferenceNotFound):
			now = plumbing.NewHashReference(u.name, plumbing.ZeroHash)
		case err != nil:
			return err
		case now.Type() != plumbing.HashReference:
			return fmt.Errorf("%s is a symbolic ref to %s; davit moves no such ref", u.name, now.Target())
		}
		if now.Hash() != u.new && now.Hash() != u.old {
			return fmt.Errorf("%w: %s is at %.12s", ErrMoved, u.name, now.Hash())
		}
		if now.Hash().IsZero() {
			if err := s.room(u.name); err != nil {
				return err
			}
		}
	}
	for i, u := range updates {
		if err := s.move(u, locks[i]); err != nil {
			return fmt.Errorf("moving %s: %w", u.name, err)
		}
	}
	return nil
}

// move writes the locked ref.
func (s *store) move(u refUpdate, l *refLock) error {
	if u.new.IsZero() {
		if err := s.unpack(u.name); err != nil {
			return err
		}
		_ = os.Remove(filepath.Join(s.common, "logs", u.name.String())) // or it would be in the way of a ref below the name
		if err := os.Remove(s.refFile(u.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	_ = removeEmpty(s.refFile(u.name)) // what deleted refs below left; a folder that is not empty fails the rename
	return l.replace([]byte(u.new.String() + "\n"))
}

// room says whether a new ref would be a file where another, perhaps a packed one, needs a folder, or the reverse.
func (s *store) room(name plumbing.ReferenceName) error {
	beside, err := s.refs(func(other string) bool {
		return strings.HasPrefix(other, name.String()+"/") || strings.HasPrefix(name.String(), other+"/")
	})
	for other := range beside {
		err = fmt.Errorf("%w: %s cannot be beside %s; rename that", errRefused, name, other)
	}
	return err
}

// refs are those that want names. (go-git's list takes another git's lock file for a ref, and fails on it.)
func (s *store) refs(want func(name string) bool) (map[string]Hash, error) {
	out := map[string]Hash{}
	add := func(name, hex string) {
		if _, known := out[name]; !known && len(hex) == 40 && want(name) {
			out[name] = plumbing.NewHash(hex)
		}
	}
	// Loose ones first: git packs a ref before it removes the file.
	err := filepath.WalkDir(filepath.Join(s.common, "refs"), func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(file, ".lock") {
			name := filepath.ToSlash(strings.TrimPrefix(file, s.common+string(filepath.Separator)))
			if want(name) {
				var data []byte
				data, err = os.ReadFile(file)
				add(name, strings.TrimSpace(string(data)))
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	packed, perr := os.ReadFile(filepath.Join(s.common, "packed-refs"))
	if perr != nil && !errors.Is(perr, fs.ErrNotExist) {
		err = errors.Join(err, perr)
	}
	for line := range strings.Lines(string(packed)) {
		if hex, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			add(name, hex)
		}
	}
	return out, err
}

func (s *store) refFile(name plumbing.ReferenceName) string {
	return filepath.Join(s.common, filepath.FromSlash(name.String()))
}

// writable refuses a branch that a worktree has checked out: its files would no longer be those of its commit. A rebase that
// has stopped has its branch still, and moves it at its end from where it was.
func (s *store) writable(u refUpdate) error {
	heads, err := filepath.Glob(filepath.Join(s.common, "worktrees", "*", "HEAD"))
	if err != nil {
		return err
	}
	if !s.bare() {
		heads = append(heads, filepath.Join(s.common, "HEAD"))
	}
	for _, head := range slices.Clone(heads) {
		for _, rebase := range []string{"rebase-merge", "rebase-apply"} {
			heads = append(heads, filepath.Join(filepath.Dir(head), rebase, "head-name"))
		}
	}
	for _, head := range heads {
		data, err := os.ReadFile(head)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if strings.TrimSpace(strings.TrimPrefix(string(data), "ref:")) == u.name.String() {
			return fmt.Errorf("%w: branch %s is checked out (%s); switch to another branch there", ErrReadOnly, u.name.Short(), head)
		}
	}
	return nil
}

// unpack takes a ref out of packed-refs, with the line of the commit its tag stands for.
func (s *store) unpack(name plumbing.ReferenceName) error {
	file := filepath.Join(s.common, "packed-refs")
	l, err := lock(file)
	if err != nil {
		return err
	}
	defer l.release()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var out bytes.Buffer
	gone := false
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "^") {
			gone = strings.HasSuffix(line, " "+name.String())
		}
		if !gone {
			fmt.Fprintln(&out, line)
		}
	}
	if out.Len() == len(data) {
		return nil
	}
	return l.replace(out.Bytes())
}

// removeEmpty removes a folder that has nothing but empty folders.
func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeEmpty(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}
