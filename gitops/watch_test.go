package gitops

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWatchLocal(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	r.git("checkout", "-q", "-b", "team/deep/x") // a ref in folders that come and go
	for _, branch := range []string{"main", "team/deep/x"} {
		t.Run(filepath.Base(branch), func(t *testing.T) {
			r.t = t
			r.git("checkout", "-q", branch)
			tips := watch(t, r.open(branch))
			await(t, tips, r.git("rev-parse", "HEAD"))
			seen := func(want string) {
				t.Helper()
				t.Logf("seen after %s", await(t, tips, want))
			}
			seen(r.commit("commit", "a", branch+"2"))
			r.git("pack-refs", "--all", "--prune")
			seen(r.commit("after pack-refs", "a", branch+"3"))
			r.git("gc", "-q")
			seen(r.commit("after gc", "a", branch+"4"))
			r.git("reset", "-q", "--hard", "HEAD~1")
			seen(r.git("rev-parse", "HEAD"))
			r.git("checkout", "-q", "--detach")
			r.git("branch", "-q", "-D", branch)
			r.git("branch", branch, first)
			seen(first)
			other := r.commit("elsewhere", "b", branch)
			r.git("branch", "-q", "other-"+filepath.Base(branch))
			r.git("branch", "-q", "-D", branch)
			r.git("branch", "-q", "-m", "other-"+filepath.Base(branch), branch) // a rename onto it
			seen(other)
			r.git("checkout", "-q", branch)
			select {
			case h := <-tips:
				t.Errorf("%s was told although nothing moved", h)
			default:
			}
		})
	}
}

func TestWatchFromLinkedWorktreeAndUnborn(t *testing.T) {
	r := newRepo(t)
	tips := watch(t, r.open(""))
	first := r.commit("one", "a", "1")
	await(t, tips, first)
	linked := filepath.Join(t.TempDir(), "linked")
	r.git("worktree", "add", "-q", "-b", "side", linked)
	side := watch(t, open(t, Config{URL: linked}))
	await(t, side, first)
	other := &repo{t: t, dir: linked, clock: r.clock}
	await(t, side, other.commit("two", "a", "2"))
}

func TestWatchRemote(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	srv := serve(t, r, "pl4nted-git")
	var log bytes.Buffer
	var mu sync.Mutex
	s := open(t, Config{URL: srv.url("bot:pl4nted-git"), Mirror: t.TempDir(), Interval: 50 * time.Millisecond, Log: logTo(&log, &mu)})
	tips := watch(t, s)
	await(t, tips, first)
	second := r.commit("two", "a", "2")
	t.Logf("seen after %s", await(t, tips, second))

	srv.setDown(true)
	third := r.commit("three", "a", "3")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		text := log.String()
		mu.Unlock()
		if strings.Contains(text, "retrying") {
			if strings.Contains(text, "pl4nted") {
				t.Errorf("the log holds the token: %s", text)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the outage was not logged")
		}
	}
	srv.setDown(false)
	await(t, tips, third)

	fourth := r.commit("four", "a", "4")
	if h, err := s.Fetch(t.Context()); err != nil || h.String() != fourth {
		t.Fatal(h, err)
	}
	await(t, tips, fourth) // fetched by another caller, told all the same
}

func TestNotify(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	srv := serve(t, r, "pl4nted-git")
	s := open(t, Config{URL: srv.url("bot:pl4nted-git"), Mirror: t.TempDir(), Interval: time.Hour})
	tips := watch(t, s)
	await(t, tips, first)

	second := r.commit("two", "a", "2")
	s.Notify()
	t.Logf("seen after %s", await(t, tips, second))

	// A burst is few fetches, and its last commit is not lost.
	before, began := srv.checks(), time.Now()
	var last string
	for n := range 20 {
		last = r.commit("burst", "a", strings.Repeat("x", n+1))
		s.Notify()
	}
	await(t, tips, last)
	if n, most := srv.checks()-before, 2+2*int(time.Since(began)/time.Second+1); n > most {
		t.Errorf("%d ref checks for a burst of %s, want at most %d", n, time.Since(began), most)
	}
	r.open("").Notify() // of no effect, and no harm
}

// TestPushed: a push of a ref that is not followed is no look at the repository, so the next one of the branch waits for none.
func TestPushed(t *testing.T) {
	for name, c := range map[string]struct {
		cfg         Config
		other, news []string
	}{
		"branch": {Config{}, []string{"refs/heads/feature", "refs/heads/main2", "refs/tags/v1.0.0", "refs/notes/davit", "refs/davit/runs", "main"}, []string{"refs/heads/main", ""}},
		"tag":    {Config{Tag: "v1.0.0"}, []string{"refs/heads/feature", "refs/notes/davit"}, []string{"refs/tags/v1.0.0", "refs/heads/main", ""}},
		"range":  {Config{Semver: ">=1.0.0"}, []string{"refs/heads/feature"}, []string{"refs/tags/v1.0.1", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			r.commit("one", "a", "1")
			r.git("tag", "v1.0.0")
			srv := serve(t, r, "pl4nted-git")
			c.cfg.URL, c.cfg.Mirror, c.cfg.Interval = srv.url("bot:pl4nted-git"), t.TempDir(), time.Hour
			s := open(t, c.cfg)
			for _, ref := range c.other {
				if s.Pushed(ref); len(s.mirror.wake) > 0 {
					t.Errorf("a push of %s is news", ref)
				}
			}
			for _, ref := range c.news {
				if s.Pushed(ref); len(s.mirror.wake) == 0 {
					t.Errorf("a push of %q is no news", ref)
				} else {
					<-s.mirror.wake
				}
			}
		})
	}
}
