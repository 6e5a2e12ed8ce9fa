package gitops

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// A registry may lie in a folder of its repository (Config.Folder). All that is read of a commit is then rooted there, and all
// that is proposed lands there: names of files are those in the folder everywhere, so that a registry that moves into one
// is no other registry. Only Differ tells of what lies outside.

var errNoFolder = errors.New("has no folder")

// ParseFolder gives a folder of a repository its one spelling: "ml/registry" for "./ml/registry/", and "" for the whole
// repository. One that is not below the repository's root is an error.
func ParseFolder(name string) (string, error) {
	name = strings.TrimSpace(name)
	clean := strings.TrimSuffix(path.Clean(strings.TrimRight(name, "/")+"/."), "/")
	switch {
	case name == "" || clean == "." && !strings.HasPrefix(name, "/"):
		return "", nil
	case strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("path %q is absolute; name the folder from the repository's root: %q", name, strings.Trim(name, "/"))
	case strings.Contains("/"+name+"/", "/../"):
		return "", fmt.Errorf("path %q has \"..\" in it; name a folder below the repository's root: \"ml/registry\"", name)
	case committable(clean) != nil, strings.TrimSpace(clean) != clean:
		return "", fmt.Errorf("path %q is not a folder that a commit can have; name one from the repository's root, with slashes: \"ml/registry\"", name)
	}
	return clean, nil
}

// Folder is where in the repository the registry is, without slashes at its ends; "" when the whole repository is it.
func (s *Source) Folder() string { return s.folder }

// FromRoot is a file's path from the repository's root.
func (s *Source) FromRoot(name string) string { return path.Join(s.folder, name) }

// within begins the paths of the folder's files from the repository's root.
func (s *Source) within() string {
	if s.folder == "" {
		return ""
	}
	return s.folder + "/"
}

// folderTree is the tree of the folder in a commit's tree; the zero hash, which has no files, where there is none.
func (s *Source) folderTree(root Hash) (Hash, error) {
	if s.folder == "" || root.IsZero() {
		return root, nil
	}
	e, ok, err := s.trees.at(root, s.folder)
	if err != nil || !ok || !e.isDir() {
		return Hash{}, err
	}
	return e.hash, nil
}

// content reads a commit, and its tree below the folder.
func (s *Source) content(ctx context.Context, h Hash) (Commit, Hash, error) {
	c, root, err := s.commit(ctx, h)
	if err != nil {
		return c, root, err
	}
	tree, err := s.folderTree(root)
	return c, tree, err
}

// Absent says why the commit has no folder for the registry; nil when it has. Such a snapshot has no files: history has
// commits from before the folder was made.
func (s *Snapshot) Absent() error {
	at := entry{mode: modeDir, hash: s.whole}
	seen := ""
	for part := range strings.SplitSeq(s.source.folder, "/") {
		if s.source.folder == "" {
			return nil
		}
		f, err := s.trees.get(at.hash)
		if err != nil {
			return err
		}
		e, found, err := f.find(part)
		if err != nil {
			return err
		}
		if seen = path.Join(seen, part); !found || !e.isDir() {
			return fmt.Errorf("commit %.12s %w %s: %w", s.commit.Hash, errNoFolder, s.source.folder, notFolder(seen, e, found, f))
		}
		at = e
	}
	return nil
}

// notFolder says what is in place of a folder.
func notFolder(name string, e entry, found bool, in *folder) error {
	switch {
	case found && e.mode == modeSymlink:
		return fmt.Errorf("%s is a symbolic link, and none is followed; name the folder it leads to", name)
	case found && e.mode == modeModule:
		return fmt.Errorf("%s is a submodule, and none is read; follow its repository instead", name)
	case found:
		return fmt.Errorf("%s is a file; name the folder that holds davit.yaml", name)
	}
	var names []string
	for i := range in.len() {
		if sibling := in.entry(i); sibling.isDir() && len(names) < 5 {
			names = append(names, string(sibling.name))
		}
	}
	where := path.Dir(name)
	if where == "." {
		where = "the root"
	}
	if len(names) == 0 {
		return fmt.Errorf("%s has no folders; name the folder that holds davit.yaml", where)
	}
	return fmt.Errorf("%s has %s; name the folder that holds davit.yaml", where, strings.Join(names, ", "))
}

// inFolder gives a path from the repository's root its name in the folder; one outside keeps its own, after a slash.
func (s *Source) inFolder(name string) string {
	if below, ok := strings.CutPrefix(name, s.within()); ok {
		return below
	}
	return "/" + name
}

// Whole is the commit's snapshot from the repository's root, whatever the folder.
func (s *Snapshot) Whole() *Snapshot {
	all := *s
	all.root.hash = s.whole
	return &all
}

// FolderOf is where in its repository's worktree a folder lies, as Config.Folder has it: "" for its root, for a bare
// repository and outside of any.
func FolderOf(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	found, err := discover(dir)
	if err != nil || found.root == "" {
		return "", nil
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(found.root)
	if err != nil {
		return "", err
	}
	below, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(below) || below == ".git" || strings.HasPrefix(filepath.ToSlash(below), ".git/") {
		return "", nil // a link led in from elsewhere
	}
	return ParseFolder(filepath.ToSlash(below))
}
