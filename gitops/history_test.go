package gitops

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// story has a merge, a revert, a rename, a mode change and a file that turns into a folder and back.
func story(t testing.TB) *repo {
	r := newRepo(t)
	r.commit("root", "a.txt", "1", "d/x", "1", "d.x", "1", "t", "file")
	r.commit("edit", "a.txt", "2", "d/x", "2")
	r.git("checkout", "-q", "-b", "side")
	r.commit("side 1", "s/1", "1")
	r.commit("side 2", "s/2", "1", "a.txt", "3")
	r.git("checkout", "-q", "main")
	r.commit("main", "d/y", "1")
	r.tick()
	r.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
	r.tick()
	r.git("revert", "--no-edit", "HEAD~1")
	r.tick()
	r.git("revert", "--no-edit", "-m", "1", "HEAD~1")
	r.git("mv", "d", "moved")
	r.commit("rename")
	if err := os.Chmod(filepath.Join(r.dir, "a.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.commit("mode")
	r.git("rm", "-q", "t")
	r.commit("to folder", "t/in", "1", "t/deep/er", "1")
	r.git("rm", "-rq", "t")
	r.commit("to file", "t", "file")
	r.commit("nothing")
	return r
}

func TestFirstParents(t *testing.T) {
	r := story(t)
	s := r.open("")
	tip, _ := s.Tip(t.Context())
	var got, want []string
	err := s.FirstParents(t.Context(), tip, func(c Commit, paths []string) (bool, error) {
		got = append(got, fmt.Sprint(c.Hash, c.Subject, paths))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range strings.Split(r.git("log", "--first-parent", "-m", "--no-renames", "--name-only", "--format=%x00%H %s"), "\x00")[1:] {
		head, list, _ := strings.Cut(strings.TrimSpace(rec), "\n")
		hash, subject, _ := strings.Cut(head, " ")
		paths := strings.Fields(list)
		slices.Sort(paths)
		want = append(want, fmt.Sprint(hash, subject, paths))
	}
	wantPaths(t, got, want)

	n := 0
	stop := fmt.Errorf("stop")
	if err := s.FirstParents(t.Context(), tip, func(Commit, []string) (bool, error) { n++; return n < 3, nil }); err != nil || n != 3 {
		t.Errorf("%d commits, %v", n, err)
	}
	if err := s.FirstParents(t.Context(), tip, func(Commit, []string) (bool, error) { return true, stop }); err != stop {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.FirstParents(ctx, tip, func(Commit, []string) (bool, error) { return true, nil }); err == nil {
		t.Error("a cancelled walk went on")
	}
}

func TestChangedAndIsAncestorAgreeWithGit(t *testing.T) {
	r := story(t)
	s := r.open("")
	all := strings.Fields(r.git("rev-list", "--all"))
	for i, a := range all {
		for j, b := range all {
			if (i+2*j)%5 != 0 { // a fifth of the pairs: each takes two runs of git
				continue
			}
			sa, sb := snapshot(t, s, a), snapshot(t, s, b)
			got, err := sb.Changed(t.Context(), sa)
			if err != nil {
				t.Fatal(err)
			}
			wantPaths(t, got, r.lines("diff", "--no-renames", "--name-only", "-z", a, b))
			is, err := s.IsAncestor(t.Context(), sa.Hash(), sb.Hash())
			_, no := r.try("merge-base", "--is-ancestor", a, b)
			if err != nil || is != (no == nil) {
				t.Errorf("IsAncestor(%s, %s) = %v, %v", a, b, is, err)
			}
		}
	}
	got, err := snapshot(t, s, "HEAD").Changed(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantPaths(t, got, r.lines("ls-tree", "-r", "--name-only", "-z", "HEAD"))
}

func TestShallow(t *testing.T) {
	r := story(t)
	dir := filepath.Join(t.TempDir(), "shallow")
	r.git("clone", "-q", "--depth=3", "file://"+r.dir, dir)
	s := open(t, Config{URL: dir})
	tip, _ := s.Tip(t.Context())
	n := 0
	err := s.FirstParents(t.Context(), tip, func(Commit, []string) (bool, error) { n++; return true, nil })
	if err != nil || n != 3 {
		t.Errorf("%d commits, %v", n, err)
	}
	if _, err := s.Resolve(t.Context(), "HEAD~3"); err == nil || !strings.Contains(err.Error(), "shallow") {
		t.Error(err)
	}
	if is, err := s.IsAncestor(t.Context(), tip, snapshot(t, s, "HEAD~2").Hash()); is || err != nil {
		t.Error(is, err)
	}
}

func TestResolve(t *testing.T) {
	r := story(t)
	r.git("tag", "light", "HEAD~2")
	r.git("tag", "-a", "-m", "m", "heavy", "HEAD~3")
	r.git("branch", "team/x", "HEAD~1")
	s := r.open("")
	head := r.git("rev-parse", "HEAD")
	for _, packed := range []bool{false, true} {
		if packed {
			r.git("gc", "-q")
		}
		for _, rev := range []string{
			"HEAD", "main", "side", "team/x", "light", "heavy", "refs/heads/main", "heads/main", "refs/tags/heavy",
			"HEAD~1", "HEAD~", "HEAD^", "HEAD~2^0", "main~7^2", "main~7^2~1", "heavy~1", "HEAD~~", "HEAD^^",
			head, head[:12], head[:7], strings.ToUpper(head[:9]), head[:12] + "~1", r.git("rev-parse", "heavy"), r.git("rev-parse", "heavy")[:11],
		} {
			got, err := s.Resolve(t.Context(), rev)
			if want := r.git("rev-parse", rev+"^{commit}"); err != nil || got.String() != want {
				t.Errorf("%s: %s, %v; want %s", rev, got, err, want)
			}
		}
		if got, err := s.Resolve(t.Context(), "main@sha1:"+head[:12]); err != nil || got.String() != head {
			t.Errorf("%s, %v", got, err)
		}
	}
	blob := r.git("rev-parse", "HEAD:a.txt")
	for rev, want := range map[string]string{
		"nope": "no such branch", "": "no such branch", "abc": "no such branch", "main@sha1:xyz": "no such branch",
		strings.Repeat("ab", 20): "no such commit", "HEAD~99": "parents", "main^3": "parents", blob: "no such commit", "main:a.txt": "no such branch", "HEAD~99999999999999999999": "out of range",
	} {
		if _, err := s.Resolve(t.Context(), rev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", rev, err, want)
		}
	}
}

func TestResolveAmbiguous(t *testing.T) {
	r := newRepo(t)
	seen := map[string]bool{}
	r.commit("root")
	// 65,536 prefixes: a pair is likely after some 300 commits; fast-import makes them in one go.
	var in strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&in, "commit refs/heads/many\ncommitter A <a@b> %d +0000\ndata 1\nx\n\n", i)
	}
	p := filepath.Join(r.dir, "in")
	if err := os.WriteFile(p, []byte(in.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	r.git("-c", "alias.imp=!git fast-import --quiet < in", "imp")
	s := r.open("")
	for _, h := range strings.Fields(r.git("rev-list", "many")) {
		if seen[h[:4]] {
			if _, err := s.Resolve(t.Context(), h[:4]); err == nil || !strings.Contains(err.Error(), "ambiguous") || !strings.Contains(err.Error(), h[:12]) {
				t.Errorf("%v", err)
			}
			return
		}
		seen[h[:4]] = true
	}
	t.Fatal("no two commits share four digits")
}

// TestSignersFile is the repository's own before the user's, and found in the home folder.
func TestSignersFile(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	r := newRepo(t)
	r.commit("one", "a", "1")
	want := func(name string) {
		t.Helper()
		if got, err := r.open("main").SignersFile(); err != nil || got != name {
			t.Errorf("%q, %v; want %q", got, err, name)
		}
	}
	want("")
	config := "[gpg \"ssh\"]\n\tallowedSignersFile = ~/signers\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	want(filepath.Join(home, "signers"))
	r.git("config", "gpg.ssh.allowedSignersFile", ".signers")
	want(filepath.Join(r.dir, ".signers"))
}
