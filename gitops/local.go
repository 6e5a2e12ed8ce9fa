package gitops

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// IsLocal tells a path or file:// URL from a remote, by git's own rule: a colon before any slash makes
// it a remote (git's url_is_local_not_ssh).
func IsLocal(u string) bool {
	if strings.HasPrefix(strings.ToLower(u), "file://") {
		return true
	}
	before, _, colon := strings.Cut(u, ":")
	return !colon || strings.Contains(before, "/")
}

func openLocal(cfg Config) (*Source, error) {
	path, err := localPath(cfg.URL)
	if err != nil {
		return nil, err
	}
	s, err := openFolder(cfg, path)
	if err != nil {
		return nil, fmt.Errorf("opening repository %s: %w; run davit init or pass -C", path, err)
	}
	if s.Tagged() { // what the user named must exist
		if _, err := s.tagTip(); err != nil {
			return nil, fmt.Errorf("opening repository %s: %w", path, err)
		}
	}
	return s, nil
}

func openFolder(cfg Config, path string) (*Source, error) {
	d, err := discover(path)
	if err != nil {
		return nil, err
	}
	st := newStore(d.gitdir, d.common)
	if err := st.supported(); err != nil {
		return nil, err
	}
	named := cfg.Branch != ""
	if !named {
		if cfg.Branch, err = st.head(); err != nil {
			return nil, fmt.Errorf("reading HEAD: %w", err)
		}
	}
	// HEAD may name a branch without a commit yet, or none: how a CI checks out a pull request. Then there is
	// enough to read and nothing to follow. A branch the user named must exist.
	if _, err := st.ref(plumbing.NewBranchReferenceName(cfg.Branch)); named && errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil, fmt.Errorf("%w %s", errNoBranch, cfg.Branch)
	} else if named && err != nil {
		return nil, fmt.Errorf("branch %s: %w", cfg.Branch, err)
	}
	s := newSource(cfg, st)
	s.root = d.root
	return s, nil
}

func localPath(u string) (string, error) {
	if len(u) >= 7 && strings.EqualFold(u[:7], "file://") {
		p, err := url.Parse(u)
		if err != nil || (p.Host != "" && p.Host != "localhost") {
			return "", errors.New("opening repository: a file:// URL needs an absolute path; run davit init or pass -C")
		}
		u = p.Path
	}
	return filepath.Abs(u)
}

// folders of a repository (gitrepository-layout(5)).
type folders struct{ gitdir, common, root string }

// discover walks up from path, as git does, to a .git folder or file or a bare repository.
func discover(path string) (folders, error) {
	if _, err := os.Stat(path); err != nil {
		return folders{}, unwrapPath(err)
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		dot := filepath.Join(dir, ".git")
		if fi, err := os.Stat(dot); err == nil {
			return worktree(dir, dot, fi.IsDir())
		}
		if isGitDir(dir) {
			root := ""
			if filepath.Base(dir) == ".git" {
				root = filepath.Dir(dir)
			}
			return withCommon(folders{gitdir: dir, root: root})
		}
		if dir == filepath.Dir(dir) {
			return folders{}, errors.New("there is no Git repository here or in a parent folder")
		}
	}
}

func worktree(root, dot string, isDir bool) (folders, error) {
	if isDir {
		return withCommon(folders{gitdir: dot, root: root})
	}
	data, err := os.ReadFile(dot)
	if err != nil {
		return folders{}, err
	}
	gitdir, ok := strings.CutPrefix(string(data), "gitdir: ")
	if !ok {
		return folders{}, fmt.Errorf("%s has no gitdir line", dot)
	}
	return withCommon(folders{gitdir: resolve(root, strings.TrimSpace(gitdir)), root: root})
}

// withCommon finds where a linked worktree keeps objects and refs.
func withCommon(f folders) (folders, error) {
	f.common = f.gitdir
	data, err := os.ReadFile(filepath.Join(f.gitdir, "commondir"))
	if err == nil {
		f.common = resolve(f.gitdir, strings.TrimSpace(string(data)))
	}
	if !isGitDir(f.common) {
		return f, fmt.Errorf("%s is not a Git folder (HEAD, objects or refs is missing)", f.common)
	}
	return f, nil
}

func isGitDir(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func resolve(base, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}

// unwrapPath drops the path from an error whose caller names it already.
func unwrapPath(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
