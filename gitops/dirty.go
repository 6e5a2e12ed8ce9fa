package gitops

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// Dirty lists, sorted, what `git status --untracked-files=all` would of the folder: paths staged, changed, deleted or
// untracked and not ignored. nil for a clean worktree, a bare repository and a remote.
// Submodules count only when another commit of theirs is staged.
func (s *Source) Dirty(ctx context.Context) ([]string, error) {
	if s.root == "" {
		return nil, nil
	}
	d := &worktreeDiff{root: s.root, folder: s.folder, tracked: map[string]bool{}, paths: map[string]bool{}}
	if err := d.run(ctx, s); err != nil {
		return nil, fmt.Errorf("comparing worktree %s: %w", s.root, err)
	}
	var list []string
	for p := range d.paths {
		list = append(list, s.inFolder(p))
	}
	sort.Strings(list)
	return list, nil
}

type worktreeDiff struct {
	root     string
	folder   string    // that alone is looked at
	written  time.Time // of the index
	tracked  map[string]bool
	paths    map[string]bool
	fileMode bool
}

func (d *worktreeDiff) run(ctx context.Context, s *Source) error {
	idx, err := s.store.index()
	if err != nil {
		return fmt.Errorf("reading the index: %w", err)
	}
	if fi, err := os.Stat(filepath.Join(s.store.gitdir, "index")); err == nil {
		d.written = fi.ModTime()
	}
	d.fileMode = s.store.fileMode()
	head, err := s.headFiles(ctx)
	if err != nil {
		return err
	}
	for _, e := range idx.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !d.within(e.Name) {
			continue
		}
		if h, ok := head[e.Name]; !ok || h.hash != e.Hash || h.mode != uint32(e.Mode) || d.changed(e) {
			d.paths[e.Name] = true
		}
		delete(head, e.Name)
		d.tracked[e.Name] = true
	}
	for p := range head {
		d.paths[p] = true
	}
	patterns, err := excludes(s.store.common)
	if err != nil {
		return err
	}
	dir, patterns, err := d.start(patterns)
	if err != nil || dir == nil {
		return err
	}
	return d.untracked(ctx, dir, patterns)
}

// within says whether a path from the root is one of the folder's.
func (d *worktreeDiff) within(name string) bool {
	return d.folder == "" || strings.HasPrefix(name, d.folder+"/")
}

// start is where untracked files are looked for, with the patterns of the folders above it; nil when it is ignored, or not
// there.
func (d *worktreeDiff) start(patterns []gitignore.Pattern) (dir []string, all []gitignore.Pattern, err error) {
	dir = []string{}
	for name := range strings.SplitSeq(d.folder, "/") {
		if name == "" {
			return dir, patterns, nil
		}
		more, err := ignoreFile(filepath.Join(append([]string{d.root}, append(dir, ".gitignore")...)...), dir)
		if err != nil {
			return nil, nil, err
		}
		patterns = append(patterns, more...)
		if dir = append(dir, name); gitignore.NewMatcher(patterns).Match(dir, true) {
			return nil, nil, nil
		}
	}
	if _, err := os.Stat(filepath.Join(d.root, filepath.FromSlash(d.folder))); os.IsNotExist(err) {
		return nil, nil, nil // all of it is deleted
	}
	return dir, patterns, nil
}

// changed compares a file with its index entry. Size and time decide, unless the file was written no
// earlier than the index (git's racy-git), so that filters such as LFS do not matter and little is read.
func (d *worktreeDiff) changed(e *index.Entry) bool {
	if e.Stage != 0 || e.IntentToAdd {
		return true
	}
	if e.SkipWorktree || e.Mode == filemode.Submodule {
		return false
	}
	file := filepath.Join(d.root, filepath.FromSlash(e.Name))
	fi, err := os.Lstat(file)
	if err != nil || fi.IsDir() || d.mode(fi, e.Mode) != e.Mode {
		return true
	}
	if uint32(fi.Size()) == e.Size && sameTime(fi.ModTime(), e.ModifiedAt) && fi.ModTime().Before(d.written) {
		return false
	}
	var data []byte
	if fi.Mode()&os.ModeSymlink != 0 {
		var target string
		target, err = os.Readlink(file)
		data = []byte(target)
	} else {
		data, err = os.ReadFile(file)
	}
	return err != nil || plumbing.ComputeHash(plumbing.BlobObject, data) != e.Hash
}

// mode is the entry mode a file would get; core.fileMode=false keeps the executable bit as recorded.
func (d *worktreeDiff) mode(fi os.FileInfo, recorded filemode.FileMode) filemode.FileMode {
	switch {
	case fi.Mode()&os.ModeSymlink != 0:
		return filemode.Symlink
	case !d.fileMode && (recorded == filemode.Regular || recorded == filemode.Executable):
		return recorded
	case fi.Mode()&0o100 != 0:
		return filemode.Executable
	}
	return filemode.Regular
}

func sameTime(file, recorded time.Time) bool {
	if recorded.Nanosecond() == 0 {
		return file.Unix() == recorded.Unix()
	}
	return file.Equal(recorded)
}

func (d *worktreeDiff) untracked(ctx context.Context, dir []string, patterns []gitignore.Pattern) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	folder := filepath.Join(append([]string{d.root}, dir...)...)
	more, err := ignoreFile(filepath.Join(folder, ".gitignore"), dir)
	if err != nil {
		return err
	}
	patterns = append(patterns[:len(patterns):len(patterns)], more...)
	ignored := gitignore.NewMatcher(patterns)
	list, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range list {
		at := append(dir[:len(dir):len(dir)], e.Name())
		name := path.Join(at...)
		switch {
		case e.Name() == ".git", d.tracked[name], ignored.Match(at, e.IsDir()):
		case !e.IsDir():
			d.paths[name] = true
		case isRepository(filepath.Join(folder, e.Name())):
			d.paths[name] = true // git lists a nested repository as one thing
		default:
			if err := d.untracked(ctx, at, patterns); err != nil {
				return err
			}
		}
	}
	return nil
}

func isRepository(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ".git"))
	return err == nil
}

// excludes are the patterns kept outside the worktree, the weakest first.
func excludes(common string) ([]gitignore.Pattern, error) {
	root := osfs.New("/")
	all, _ := gitignore.LoadSystemPatterns(root) // a user without a home has none
	global, _ := gitignore.LoadGlobalPatterns(root)
	own, err := ignoreFile(filepath.Join(common, "info", "exclude"), nil)
	return append(append(all, global...), own...), err
}

func ignoreFile(file string, domain []string) ([]gitignore.Pattern, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var ps []gitignore.Pattern
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\r\n")
		if !strings.HasSuffix(text, `\ `) {
			text = strings.TrimRight(text, " ")
		}
		if text != "" && text[0] != '#' {
			ps = append(ps, gitignore.ParsePattern(text, domain))
		}
	}
	return ps, nil
}

// headFiles lists every file of HEAD's commit in the folder, from the repository's root; none when HEAD is unborn.
func (s *Source) headFiles(ctx context.Context) (map[string]entry, error) {
	files := map[string]entry{}
	h, err := s.store.ref(plumbing.HEAD)
	if err == plumbing.ErrReferenceNotFound {
		return files, nil
	} else if err != nil {
		return nil, err
	}
	_, tree, err := s.commit(ctx, h)
	if err != nil {
		return nil, err
	}
	if tree, err = s.folderTree(tree); err != nil {
		return nil, err
	}
	return files, s.trees.files(s.within(), tree, files)
}

func (t *trees) files(prefix string, h Hash, out map[string]entry) error {
	f, err := t.get(h)
	if err != nil {
		return err
	}
	if err := f.parse(); err != nil {
		return err
	}
	for i := range f.len() {
		e := f.entry(i)
		if !e.isDir() {
			out[prefix+string(e.name)] = e
		} else if err := t.files(prefix+string(e.name)+"/", e.hash, out); err != nil {
			return err
		}
	}
	return nil
}
