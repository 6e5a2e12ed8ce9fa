package gitops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenLocal(t *testing.T) {
	r := newRepo(t)
	tip := r.commit("one", "a/b/c.txt", "x")
	r.git("branch", "side")
	linked := filepath.Join(t.TempDir(), "linked")
	r.git("worktree", "add", "-q", linked, "side")
	bare := filepath.Join(t.TempDir(), "bare.git")
	r.git("clone", "-q", "--bare", r.dir, bare)
	inside := filepath.Join(r.dir, "vendored.git") // a bare repository below a worktree is the nearer one
	r.git("clone", "-q", "--bare", r.dir, inside)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(r.dir, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, branch, root string }{
		{r.dir, "main", r.dir},
		{filepath.Join(r.dir, "a/b"), "main", r.dir},
		{filepath.Join(r.dir, ".git"), "main", r.dir},
		{"file://" + r.dir, "main", r.dir},
		{linked, "side", linked},
		{filepath.Join(linked, "a"), "side", linked},
		{bare, "main", ""},
		{inside, "main", ""},
		{link, "main", link},
	} {
		s := open(t, Config{URL: c.url})
		if s.Branch() != c.branch || s.Root() != c.root {
			t.Errorf("%s: branch %q root %q, want %q %q", c.url, s.Branch(), s.Root(), c.branch, c.root)
		}
		wantTip(t, s, tip)
		if data, err := snapshot(t, s, "HEAD").ReadFile("a/b/c.txt"); err != nil || string(data) != "x" {
			t.Errorf("%s: %q, %v", c.url, data, err)
		}
	}
	if s := open(t, Config{URL: r.dir, Branch: "refs/heads/side"}); s.Branch() != "side" {
		t.Errorf("branch %q", s.Branch())
	}
}

func TestOpenSharedObjects(t *testing.T) {
	r := newRepo(t)
	tip := r.commit("one", "a.txt", "x")
	shared := filepath.Join(t.TempDir(), "shared")
	r.git("clone", "-q", "--shared", r.dir, shared)
	s := open(t, Config{URL: shared})
	wantTip(t, s, tip)
	fi, err := snapshot(t, s, tip).Stat("a.txt")
	if err != nil || fi.Size() != 1 {
		t.Errorf("%v, %v", fi, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := t.TempDir()
	dangling := filepath.Join(empty, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	sha256 := newRepo(t, "--object-format=sha256")
	detached := newRepo(t)
	detached.commit("one")
	detached.git("checkout", "-q", "--detach")
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{URL: empty}, "no Git repository"},
		{Config{URL: filepath.Join(empty, "missing")}, "no such file"},
		{Config{URL: dangling}, "no such file"},
		{Config{URL: sha256.dir}, "sha256"},
		{Config{URL: detached.dir, Branch: "typo"}, "branch typo"},
	} {
		_, err := Open(t.Context(), c.cfg)
		if err == nil {
			t.Errorf("%+v was opened", c.cfg)
			continue
		}
		for _, want := range []string{c.want, "opening repository " + c.cfg.URL, "; run davit init or pass -C"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q lacks %q", err, want)
			}
		}
	}
}

// TestDetachedHead: a CI's checkout of a pull request can be read, and not followed.
func TestDetachedHead(t *testing.T) {
	r := newRepo(t)
	want := r.commit("one")
	r.git("checkout", "-q", "--detach")
	s := r.open("")
	if got, err := s.Resolve(t.Context(), "HEAD"); err != nil || got.String() != want || s.Branch() != "" {
		t.Errorf("HEAD is %s (%v), branch %q", got, err, s.Branch())
	}
	if dirty, err := s.Dirty(t.Context()); err != nil || len(dirty) > 0 {
		t.Errorf("dirty: %v %v", dirty, err)
	}
	if _, err := s.Tip(t.Context()); !errors.Is(err, errDetached) {
		t.Errorf("tip: %v", err)
	}
	if err := s.Watch(t.Context(), func(Hash) {}); !errors.Is(err, errDetached) {
		t.Errorf("watch: %v", err)
	}
}

func TestUnbornBranch(t *testing.T) {
	r := newRepo(t)
	s := r.open("")
	if _, err := s.Tip(t.Context()); err == nil || s.Branch() != "main" {
		t.Errorf("branch %q, error %v", s.Branch(), err)
	}
	r.write("new.txt", "x")
	if got, err := s.Dirty(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	wantTip(t, s, r.commit("one"))
}

func TestIsLocal(t *testing.T) {
	for u, want := range map[string]bool{
		"": true, ".": true, "/a/b": true, "a/b": true, "./a:b": true, "file:///a": true, "FILE:///a": true,
		"https://h/p": false, "http://h": false, "ssh://git@h/p": false, "git@h:p/q.git": false, "h:p": false,
	} {
		if IsLocal(u) != want {
			t.Errorf("IsLocal(%q) is %v", u, !want)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"https://tok3n@h/p.git":        "https://h/p.git",
		"https://u:tok3n@h:8/p":        "https://h:8/p",
		"https://h/p?private=tok3n":    "https://h/p",
		"ssh://git:tok3n@h/p":          "ssh://git@h/p",
		"git@h:p/q.git":                "git@h:p/q.git",
		"https://u:tok3n%zz@h/p":       "malformed URL",
		"https://user:to/k3n@h/tok3n@": "malformed URL",
		"/a/path":                      "/a/path",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
