package gitops

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseFolder(t *testing.T) {
	for name, want := range map[string]string{
		"": "", ".": "", "./": "", "ml": "ml", "./ml/registry/": "ml/registry", "ml//registry": "ml/registry", "a b/c": "a b/c",
	} {
		if got, err := ParseFolder(name); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"/ml/registry": `is absolute; name the folder from the repository's root: "ml/registry"`,
		"/":            "is absolute",
		"../ml":        `has ".."`,
		"ml/../..":     `has ".."`,
		"ml/../other":  `has ".."`,
		".git/hooks":   "not a folder that a commit can have",
		`ml\registry`:  "not a folder that a commit can have",
	} {
		if got, err := ParseFolder(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want an error with %q", name, got, err, want)
		}
	}
}

// folderRepo has a registry that comes in the second commit, and changes beside it.
func folderRepo(t testing.TB) (r *repo, commits []string) {
	r = newRepo(t)
	commits = append(commits,
		r.commit("app", "app/main.go", "1", "README.md", "1"),
		r.commit("registry", "ml/registry/davit.yaml", "1", "ml/registry/releases/a.yaml", "1"),
		r.commit("app again", "app/main.go", "2"),
		r.commit("promote", "ml/registry/releases/a.yaml", "2", "README.md", "2"))
	return r, commits
}

func TestFolderIsTheRoot(t *testing.T) {
	r, commits := folderRepo(t)
	s := open(t, Config{URL: r.dir, Folder: "./ml/registry/"})
	snap := snapshot(t, s, "main")
	if data, err := fs.ReadFile(snap, "releases/a.yaml"); err != nil || string(data) != "2" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := fs.Stat(snap, "app"); err == nil {
		t.Error("what is beside the folder is seen")
	}
	if err := snap.Absent(); err != nil {
		t.Error(err)
	}
	changed := func(from, to string, want ...string) {
		t.Helper()
		paths, err := snapshot(t, s, to).Changed(t.Context(), snapshot(t, s, from))
		if err != nil {
			t.Fatal(err)
		}
		wantPaths(t, paths, want)
	}
	changed(commits[0], commits[1], "davit.yaml", "releases/a.yaml")
	changed(commits[1], commits[2])
	changed(commits[2], commits[3], "releases/a.yaml")
	var walked [][]string
	err := s.FirstParents(t.Context(), snap.Hash(), func(_ Commit, paths []string) (bool, error) {
		walked = append(walked, paths)
		return true, nil
	})
	if err != nil || len(walked) != 4 {
		t.Fatal(walked, err)
	}
	for i, want := range [][]string{{"releases/a.yaml"}, nil, {"davit.yaml", "releases/a.yaml"}, nil} {
		wantPaths(t, walked[i], want)
	}
	// What is merged is the whole commit.
	differ, err := s.Differ(t.Context(), ParseHash(commits[2]), ParseHash(commits[3]))
	if err != nil {
		t.Fatal(err)
	}
	wantPaths(t, differ, []string{"/README.md", "releases/a.yaml"})
}

func TestFolderMerged(t *testing.T) {
	r, _ := folderRepo(t)
	r.git("checkout", "-q", "-b", "side")
	r.commit("on the side", "ml/registry/releases/b.yaml", "1", "app/main.go", "3")
	r.git("checkout", "-q", "main")
	r.tick()
	r.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	s := open(t, Config{URL: r.dir, Folder: "ml/registry"})
	var paths []string
	err := s.Merged(t.Context(), ParseHash(r.git("rev-parse", "HEAD")), func(_ Commit, p []string) (bool, error) {
		paths = append(paths, p...)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantPaths(t, paths, []string{"releases/b.yaml"})
}

func TestFolderAbsent(t *testing.T) {
	r, commits := folderRepo(t)
	if err := os.Symlink("registry", filepath.Join(r.dir, "ml", "link")); err != nil {
		t.Fatal(err)
	}
	r.commit("link")
	for folder, want := range map[string]string{
		"ml/regstry":     "has no folder ml/regstry: ml has registry; name the folder that holds davit.yaml",
		"m/registry":     "the root has app, ml; name",
		"README.md":      "README.md is a file; name",
		"README.md/x":    "README.md is a file; name",
		"ml/link":        "ml/link is a symbolic link, and none is followed",
		"ml/link/x":      "ml/link is a symbolic link, and none is followed",
		"ml/registry/no": "ml/registry has releases; name",
		"app/x":          "app has no folders; name",
	} {
		snap := snapshot(t, open(t, Config{URL: r.dir, Folder: folder}), "main")
		if err := snap.Absent(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", folder, err, want)
		}
		if list, err := fs.ReadDir(snap, "."); err != nil || len(list) > 0 {
			t.Errorf("%s: %v, %v", folder, list, err)
		}
	}
	// Before the folder was made there is none, and history goes on.
	before := snapshot(t, open(t, Config{URL: r.dir, Folder: "ml/registry"}), commits[0])
	if err := before.Absent(); err == nil || !strings.Contains(err.Error(), "the root has app") {
		t.Error(err)
	}
	if err := snapshot(t, open(t, Config{URL: r.dir}), "main").Absent(); err != nil {
		t.Error(err)
	}
}

func TestProposalLandsInTheFolderAlone(t *testing.T) {
	r, commits := folderRepo(t)
	s := open(t, Config{URL: r.dir, Folder: "ml/registry"})
	ada := Author{Name: "davit", Email: "davit@davit.dev"}
	propose := func(files []FileChange) []string {
		t.Helper()
		h, err := s.Propose(t.Context(), Proposal{Branch: "davit/x", Base: ParseHash(commits[3]), Files: files, Message: "x", Author: ada, When: time.Unix(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return r.lines("diff", "--name-only", commits[3], h.String())
	}
	wantPaths(t, propose([]FileChange{{Path: "releases/b.yaml", Content: []byte("1")}}), []string{"ml/registry/releases/b.yaml"})
	back, err := s.Restore(t.Context(), ParseHash(commits[3]), ParseHash(commits[2]), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	wantPaths(t, propose(back), []string{"ml/registry/releases/a.yaml"}) // and not README.md
	back, conflicts, err := s.Undo(t.Context(), ParseHash(commits[3]), ParseHash(commits[3]))
	if err != nil || len(conflicts) > 0 {
		t.Fatal(conflicts, err)
	}
	wantPaths(t, propose(back), []string{"ml/registry/releases/a.yaml"})
	for _, name := range []string{"../x", "/x", "a/../../x"} {
		if _, err := s.Propose(t.Context(), Proposal{Branch: "davit/x", Base: ParseHash(commits[3]), Files: []FileChange{{Path: name}}, Author: ada}); err == nil {
			t.Errorf("%s was committed", name)
		}
	}
}

func TestDirtyInFolder(t *testing.T) {
	r, _ := folderRepo(t)
	s := open(t, Config{URL: r.dir, Folder: "ml/registry"})
	want := func(paths ...string) {
		t.Helper()
		got, err := s.Dirty(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantPaths(t, got, paths)
	}
	r.write("app/main.go", "changed")
	r.write("new.txt", "untracked")
	want()
	r.write("ml/registry/releases/a.yaml", "changed")
	r.write("ml/registry/releases/c.yaml", "untracked")
	r.write("ml/registry/scratch.tmp", "ignored")
	r.write(".gitignore", "*.tmp\n")
	want("releases/a.yaml", "releases/c.yaml")
	r.write("ml/.gitignore", "c.yaml\n")
	want("releases/a.yaml")
	if err := os.RemoveAll(filepath.Join(r.dir, "ml/registry")); err != nil {
		t.Fatal(err)
	}
	want("davit.yaml", "releases/a.yaml")
}

func TestLFSConfigIsTheRepositorys(t *testing.T) {
	r, _ := folderRepo(t)
	r.git("remote", "add", "origin", "https://git.example.com/team/registry.git")
	r.commit("lfs", ".lfsconfig", "[lfs]\n\turl = https://git.example.com/lfs\n", "ml/registry/.lfsconfig", "[lfs]\n\turl = https://evil.example.com/lfs\n")
	s := open(t, Config{URL: r.dir, Folder: "ml/registry"})
	for name, lfs := range map[string]func() (*url.URL, string, error){
		"snapshot": snapshot(t, s, "main").LFS,
		"worktree": func() (*url.URL, string, error) { return s.LFS(os.DirFS(filepath.Join(r.dir, "ml/registry"))) },
	} {
		if u, _, err := lfs(); err != nil || u.String() != "https://git.example.com/lfs" {
			t.Errorf("%s: %s, %v", name, u, err)
		}
	}
}
