package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDirty(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	r := newRepo(t)
	r.write(".gitignore", "*.log\nbuild/\n!keep.log\n/top\n")
	r.write("sub/.gitignore", "local\n!x.log\n")
	for _, f := range []string{"same", "edited", "gone", "staged", "both", "mode", "sub/f", "build/tracked", "typed", "top2"} {
		r.write(f, "1234")
	}
	r.git("add", "-f", "build/tracked")
	r.commit("one")
	s := r.open("")
	check := func(step string) {
		t.Helper()
		got, err := s.Dirty(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for rec := range strings.SplitSeq(r.git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z"), "\x00") {
			if len(rec) > 3 {
				want = append(want, rec[3:])
			}
		}
		slices.Sort(want)
		want = slices.Compact(want) // removed from the index and untracked are two lines in git
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", step, got, want)
		}
	}
	check("clean")
	r.write("same", "1234") // a new time and the same content
	check("touched")
	r.write("edited", "4321") // the same size, within the same second as the index
	check("edited")
	r.write("staged", "new")
	r.git("add", "staged")
	r.write("both", "new")
	r.git("add", "both")
	r.write("both", "1234") // as in HEAD again, but not as staged
	r.write("build/tracked", "changed")
	check("staged")
	for _, p := range []string{"gone", "typed"} {
		if err := os.Remove(filepath.Join(r.dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("same", filepath.Join(r.dir, "typed")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(r.dir, "mode"), 0o755); err != nil {
		t.Fatal(err)
	}
	check("deleted, type and mode")
	for _, p := range []string{"new", "x.log", "keep.log", "top", "build/out", "sub/local", "sub/x.log", "sub/top", "sub/deep/er/new", "sub/deep/a.log", ".git-not/x", "um läut"} {
		r.write(p, "x")
	}
	r.write(".git/info/exclude", "um*\n")
	check("untracked and ignored")
	r.git("config", "core.fileMode", "false")
	check("no executable bit")
	r.git("rm", "-q", "--cached", "sub/f")
	check("removed from the index")
	r.git("add", "-N", "new")
	check("intent to add")
	r.commit("all")
	check("committed")

	linked := filepath.Join(t.TempDir(), "linked")
	r.git("worktree", "add", "-q", "-b", "side", linked)
	if err := os.WriteFile(filepath.Join(linked, "edited"), []byte("linked"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, Config{URL: linked}).Dirty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantPaths(t, got, []string{"edited"})
	check("the other worktree")
}
