package gitops

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

func TestMirror(t *testing.T) {
	r := story(t)
	srv := serve(t, r, "")
	dir := filepath.Join(t.TempDir(), "mirror")
	cfg := Config{URL: srv.url(""), Mirror: dir}
	s := open(t, cfg)
	if s.Branch() != "main" || s.Root() != "" {
		t.Errorf("branch %q root %q", s.Branch(), s.Root())
	}
	wantTip(t, s, r.git("rev-parse", "main"))
	first := snapshot(t, s, "HEAD")

	next := r.commit("next", "a.txt", "next")
	wantTip(t, s, first.Hash().String()) // as of the last Fetch
	fetch(t, s, next)
	if data, err := snapshot(t, s, next[:8]).ReadFile("a.txt"); string(data) != "next" {
		t.Errorf("%q, %v", data, err)
	}
	if packs := sizes(t, dir); packs[len(packs)-1] > 2000 {
		t.Errorf("the second fetch was not incremental: packs of %v bytes", packs)
	}
	posts := srv.requests()
	if posts != 2 { // one for the clone and one for the commit: no fetch fell back on go-git's
		t.Errorf("%d requests for objects, want 2", posts)
	}
	fetch(t, s, next)
	if srv.requests() != posts {
		t.Error("a fetch with nothing new asked for objects")
	}

	r.git("reset", "-q", "--hard", "HEAD~4")
	forced := r.commit("rewritten", "forced", "1")
	fetch(t, s, forced)
	if is, err := s.IsAncestor(t.Context(), first.Hash(), snapshot(t, s, "main").Hash()); is || err != nil {
		t.Error(is, err)
	}

	// A second process on the same mirror; the first sees what it fetched.
	other := open(t, cfg)
	last := r.commit("last", "last", "1")
	fetch(t, other, last)
	wantTip(t, s, last)
	if _, err := snapshot(t, s, last).ReadFile("last"); err != nil {
		t.Error(err)
	}

	// And fetches from where the second one was.
	fetch(t, other, r.commit("second's", "last", "2"))
	fetch(t, s, r.commit("first's", "last", "3"))
	if packs := sizes(t, dir); packs[len(packs)-1] > 2000 {
		t.Errorf("the fetch after another process's was not incremental: packs of %v bytes", packs)
	}
	last = r.git("rev-parse", "HEAD")

	srv.setDown(true)
	wantTip(t, open(t, cfg), last) // restarted during an outage
	if _, err := Open(t.Context(), Config{URL: cfg.URL, Mirror: t.TempDir()}); err == nil {
		t.Error("opened a remote that is down without a mirror")
	}
	srv.setDown(false)
	r.git("branch", "-q", "-m", "main", "trunk")
	if _, err := s.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "it has no branch main") {
		t.Error(err)
	}
	wantTip(t, s, last)
	r.git("checkout", "-q", "--detach")
	r.git("branch", "-q", "-D", "trunk")
	for _, branch := range []string{"main", ""} {
		if _, err := Open(t.Context(), Config{URL: cfg.URL, Branch: branch, Mirror: dir}); err == nil {
			t.Errorf("a deleted branch was served from the mirror (named %q)", branch)
		} else {
			t.Log(err)
		}
	}
}

func fetch(t *testing.T, s *Source, want string) {
	t.Helper()
	if h, err := s.Fetch(t.Context()); err != nil || h.String() != want {
		t.Fatalf("fetched %s, %v; want %s", h, err, want)
	}
}

// sizes of the mirror's packs, oldest first.
func sizes(t *testing.T, dir string) (out []int64) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
	if err != nil || len(packs) < 2 {
		t.Fatal(packs, err)
	}
	var newest, first int64
	var at int64
	for _, p := range packs {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if m := fi.ModTime().UnixNano(); m > at {
			at, newest = m, fi.Size()
		}
		first += fi.Size()
	}
	return []int64{first - newest, newest}
}

func TestMirrorRefuses(t *testing.T) {
	r := newRepo(t)
	empty := serve(t, r, "")
	other := newRepo(t)
	other.commit("one", "a", "1")
	guarded := serve(t, other, "right")
	sha := newRepo(t, "--object-format=sha256")
	sha.commit("one", "a", "1")
	sha256 := serve(t, sha, "")
	closed := serve(t, other, "")
	closed.Close()
	for name, c := range map[string]struct{ url, branch, want string }{
		"empty":          {empty.url(""), "", "push a first commit"},
		"no credentials": {guarded.url(""), "", "check the credentials"},
		"password":       {guarded.url("bot:wr%2Fongtok"), "", "check the credentials"},
		"token as user":  {guarded.url("wr%2Fongtok"), "main", "check the credentials"},
		"branch":         {guarded.url("x:right"), "typo", "it has no branch typo"},
		"sha256":         {sha256.url(""), "", "SHA-1"},
		"closed":         {closed.url("x:wr%2Fongtok"), "", "refused"},
		"malformed":      {"https://x:wr%zzongtok@h/p", "", "malformed"},
		"bad port":       {"https://x:wr/ongtok@h/p", "", "malformed"},
		"query":          {closed.url("") + "?token=wr%2Fongtok", "", "refused"},
		"scheme":         {"gopher://x:wr%2Fongtok@h/p", "", "unsupported"},
	} {
		_, err := Open(t.Context(), Config{URL: c.url, Branch: c.branch, Mirror: t.TempDir()})
		if err == nil {
			t.Errorf("%s was opened", name)
			continue
		}
		t.Logf("%s: %v", name, err)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v lacks %q", name, err, c.want)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "ongtok") {
				t.Errorf("%s: the error holds the credential: %v", name, e)
			}
		}
	}
	_, err := Open(t.Context(), Config{URL: guarded.url("bot:bad"), Mirror: t.TempDir()})
	if !errors.Is(err, transport.ErrAuthenticationRequired) {
		t.Errorf("%v", err)
	}
	s := open(t, Config{URL: guarded.url("bot:right"), Mirror: t.TempDir()})
	found := false
	filepath.Walk(s.store.gitdir, func(p string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			data, _ := os.ReadFile(p)
			found = found || strings.Contains(string(data), "right")
		}
		return nil
	})
	if found {
		t.Error("the mirror holds the credential")
	}
}

// TestSweep leaves what a fetch that was cut short leaves.
func TestSweep(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	srv := serve(t, r, "")
	dir := t.TempDir()
	wantTip(t, open(t, Config{URL: srv.url(""), Mirror: dir}), first)
	packs := filepath.Join(dir, "objects/pack")
	kept, err := os.ReadDir(packs)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * fetchTimeout)
	for name, at := range map[string]time.Time{"tmp_pack_1": old, "pack-1.idx": old, "tmp_pack_2": time.Now()} {
		file := filepath.Join(packs, name)
		if err := os.WriteFile(file, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range kept {
		if err := os.Chtimes(filepath.Join(packs, e.Name()), old, old); err != nil {
			t.Fatal(err)
		}
	}
	wantTip(t, open(t, Config{URL: srv.url(""), Mirror: dir}), first)
	left, err := os.ReadDir(packs)
	if err != nil || len(left) != len(kept)+1 {
		t.Errorf("left %v of %v and tmp_pack_2, %v", left, kept, err)
	}
}

// TestShallowRemote is left to go-git's own Fetch.
func TestShallowRemote(t *testing.T) {
	r := newRepo(t)
	r.commit("one", "a", "1")
	r.commit("two", "a", "2")
	shallow := &repo{t: t, dir: t.TempDir(), clock: r.clock}
	shallow.git("clone", "-q", "--depth=1", "file://"+r.dir, ".")
	srv := serve(t, shallow, "")
	s, err := Open(t.Context(), Config{URL: srv.url(""), Mirror: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantTip(t, s, r.git("rev-parse", "HEAD"))
	if data, err := snapshot(t, s, "HEAD").ReadFile("a"); string(data) != "2" {
		t.Error(string(data), err)
	}
	line, err := healthy("production/iris", 1).line()
	if err != nil {
		t.Fatal(err)
	}
	shallow.git("notes", "--ref=davit", "add", "-m", line, "HEAD")
	if _, err := s.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if events, err := s.Events(t.Context(), nil); err != nil || len(events) != 1 {
		t.Errorf("%v, %v", events, err)
	}
}

// TestMirrorOwnRefs: outcomes and proposals come with the branch, in one request for objects, and go when they went.
func TestMirrorOwnRefs(t *testing.T) {
	r, srv, mirror := shared(t)
	s := mirror()
	note := func(n int) {
		t.Helper()
		line, err := healthy("production/iris", n).line()
		if err != nil {
			t.Fatal(err)
		}
		r.git("notes", "--ref=davit", "append", "-m", line, "main")
		r.git("update-ref", "refs/heads/"+OutcomeBranch, NotesRef)
	}
	want := func(requests, events int, refs ...string) {
		t.Helper()
		before := srv.requests()
		if _, err := s.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := srv.requests() - before; n != requests {
			t.Errorf("%d requests for objects, want %d", n, requests)
		}
		if got, err := s.Events(t.Context(), nil); err != nil || len(got) != events {
			t.Errorf("%v, %v", got, err)
		}
		have, err := s.store.refs(own)
		if err != nil {
			t.Fatal(err)
		}
		wantPaths(t, slices.Sorted(maps.Keys(have)), refs)
	}
	note(1)
	note(2)
	r.git("branch", "davit/proposal", "main")
	r.git("branch", "feature", "main")
	r.commit("two", "a/b", "2")
	want(1, 2, "refs/heads/davit/outcome", "refs/heads/davit/proposal", NotesRef)
	want(0, 2, "refs/heads/davit/outcome", "refs/heads/davit/proposal", NotesRef)
	wantTip(t, s, r.git("rev-parse", "main"))
	r.git("branch", "-qD", "davit/proposal")
	want(0, 2, "refs/heads/davit/outcome", NotesRef)
	s = mirror() // another one, from the beginning
	want(0, 2, "refs/heads/davit/outcome", NotesRef)
	note(3)
	want(1, 3, "refs/heads/davit/outcome", NotesRef)
}
