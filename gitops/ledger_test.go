package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tuned is a run; its number is the end of its hash.
func tuned(n int) Run {
	hash := fmt.Sprintf("%04x%060x", n*40503%65536, n) // over all folders
	return Run{
		Hash: hash, Name: "tune-" + hash[:8], Training: "iris/tune", Environment: "production",
		Commit: "1111111111111111111111111111111111111111", Cluster: "c-1", Controller: "davit-0",
	}
}

func claim(t testing.TB, l *Ledger, run Run, want bool) Run {
	t.Helper()
	got, won, err := l.ClaimRun(t.Context(), run)
	if err != nil || won != want {
		t.Fatalf("claimed %v, %v; want %v", won, err, want)
	}
	if got.Hash != run.Hash || got.Nonce == "" || time.Since(got.Claimed) > time.Minute {
		t.Fatalf("the record is %+v", got)
	}
	return got
}

// wantRuns holds what a ledger has, and what the real git shows of it.
func (r *repo) wantRuns(l *Ledger, want int) map[string]Run {
	r.t.Helper()
	runs, err := l.Runs(r.t.Context())
	if err != nil || len(runs) != want {
		r.t.Fatalf("%d runs, %v; want %d", len(runs), err, want)
	}
	if want == 0 {
		return runs
	}
	files := r.lines("ls-tree", "-r", "--name-only", RunsRef)
	if len(files) != want {
		r.t.Fatalf("git has %d files of %d runs", len(files), want)
	}
	for _, f := range files {
		if _, there := runs[strings.TrimSuffix(filepath.Base(f), ".json")]; !there {
			r.t.Errorf("%s was not read", f)
		}
	}
	r.git("fsck", "--strict")
	return runs
}

// everywhere runs a test on a local repository and on a served one; open gives another ledger each time.
func everywhere(t *testing.T, f func(t *testing.T, r *repo, open func() *Ledger)) {
	for name, served := range map[string]bool{"local": false, "served": true} {
		t.Run(name, func(t *testing.T) {
			r, _, mirror := shared(t)
			f(t, r, func() *Ledger {
				if served {
					return mirror().NewLedger(davit)
				}
				return r.open("").NewLedger(davit)
			})
		})
	}
}

func TestLedger(t *testing.T) {
	a, allowed := signing(t, "ed25519")
	signers, err := ParseSigners(allowed)
	if err != nil {
		t.Fatal(err)
	}
	everywhere(t, func(t *testing.T, r *repo, open func() *Ledger) {
		l, other := open(), open()
		l.author = a
		r.wantRuns(l, 0)
		first := claim(t, l, tuned(1), true)
		claim(t, l, tuned(1), false)
		again := tuned(1)
		again.Controller = "davit-1"
		if got := claim(t, other, again, false); got.Nonce != first.Nonce || got.Controller != "davit-0" {
			t.Errorf("the record there is %+v", got)
		}
		r.wantRuns(other, 1)

		path := first.Hash[:2] + "/" + first.Hash + ".json"
		if got := r.git("show", RunsRef+":"+path); !strings.HasPrefix(got, "{\n  \"hash\": \""+first.Hash+"\",\n  \"name\": \"tune-") ||
			!strings.Contains(got, `"state": "Claimed"`) || strings.Contains(got, "started") {
			t.Error(got)
		}
		if got := r.git("log", "-1", "--format=%s %an %(trailers:key=Davit-Run,valueonly)", RunsRef); strings.TrimSpace(got) != "davit: claim tune-"+first.Hash[:8]+" davit "+first.Hash {
			t.Errorf("the commit is %q", got)
		}
		if _, err := l.source.Verify(t.Context(), ParseHash(r.git("rev-parse", RunsRef)), signers); err != nil {
			t.Error(err)
		}

		// Rewritten history and a garbage collection leave it alone, and so does a person's prune.
		r.git("checkout", "-q", "--orphan", "anew")
		r.commit("anew", "x", "1")
		r.git("branch", "-qf", "main", "anew")
		r.git("reflog", "expire", "--expire=now", "--all")
		r.git("gc", "-q", "--prune=now")
		clone := filepath.Join(t.TempDir(), "clone")
		r.git("clone", "-q", r.dir, clone)
		r.git("-C", clone, "fetch", "-q", "--prune", "origin")
		if got := r.git("-C", clone, "ls-remote", "origin", RunsRef); !strings.HasSuffix(got, RunsRef) {
			t.Errorf("ls-remote shows %q", got)
		}
		claim(t, other, tuned(2), true)
		r.wantRuns(l, 2)
		claim(t, open(), tuned(1), false)
		if got := r.git("rev-list", "--count", RunsRef, "--not", "--branches"); got != "2" {
			t.Errorf("%s commits", got)
		}
	})
}

func TestLedgerRecord(t *testing.T) {
	everywhere(t, func(t *testing.T, r *repo, open func() *Ledger) {
		l, other := open(), open()
		claimed := claim(t, l, tuned(1), true)
		step := func(l *Ledger, change func(*Run), from ...RunState) error {
			t.Helper()
			run := other.runs[claimed.Hash]
			run.Hash = claimed.Hash
			change(&run)
			got, err := l.RecordRun(t.Context(), run, from...)
			is := r.wantRuns(other, 1)[claimed.Hash]
			if got.State != is.State || got.Message != is.Message || is.Nonce != claimed.Nonce || !is.Claimed.Equal(claimed.Claimed) {
				t.Errorf("got %+v, the ledger has %+v", got, is)
			}
			return err
		}
		start := time.Now()
		for n, c := range []struct {
			change func(*Run)
			from   []RunState
			fails  bool
		}{
			{func(r *Run) { r.State, r.Ended = RunSucceeded, start }, []RunState{RunStarted}, true},
			{func(r *Run) { r.State, r.Started = RunStarted, start }, []RunState{RunClaimed}, false},
			{func(r *Run) { r.State, r.Started = RunStarted, start }, []RunState{RunClaimed}, false}, // the answer got lost
			{func(r *Run) { r.State = RunClaimed }, nil, true},
			{func(r *Run) { r.Message = "at work" }, []RunState{RunStarted}, false},
			{func(r *Run) { r.State = "Done" }, nil, true},
			{func(r *Run) {
				*r = Run{Hash: r.Hash, State: RunSucceeded, Ended: start, Image: "x@sha256:1", Metrics: map[string]float64{"loss": .5}}
			}, []RunState{RunClaimed, RunStarted}, false},
			{func(r *Run) { r.State = RunFailed }, []RunState{RunSucceeded}, true},
			{func(r *Run) { r.State = RunStarted }, nil, true},
			{func(r *Run) { r.Image = "other" }, []RunState{RunSucceeded}, true},
			{func(r *Run) { r.Metrics = nil }, nil, true},
			{func(r *Run) { r.Version = "v3" }, []RunState{RunSucceeded}, false},
			{func(r *Run) { r.Version = "v4" }, nil, true},
			{func(r *Run) { r.Message = "proposed" }, nil, false},
		} {
			before := r.git("rev-parse", RunsRef)
			err := step(l, c.change, c.from...)
			if c.fails != errors.Is(err, ErrRunState) || !c.fails && err != nil {
				t.Errorf("step %d: %v", n, err)
			}
			if c.fails && r.git("rev-parse", RunsRef) != before {
				t.Errorf("step %d wrote", n)
			}
		}
		is := r.wantRuns(l, 1)[claimed.Hash]
		if is.State != RunSucceeded || is.Version != "v3" || is.Image != "x@sha256:1" || is.Metrics["loss"] != .5 || is.Message != "proposed" ||
			is.Training != "iris/tune" || is.Cluster != "c-1" || is.Started.IsZero() || is.Ended.IsZero() {
			t.Errorf("the ledger has %+v", is)
		}
		claim(t, other, tuned(1), false)
		if _, err := l.RecordRun(t.Context(), tuned(2), RunClaimed); !errors.Is(err, ErrRunState) {
			t.Errorf("a run that nobody claimed: %v", err)
		}
		if got := r.git("log", "--format=%s", RunsRef); strings.Join(strings.Fields(strings.NewReplacer("davit:", "", claimed.Name, "").Replace(got)), " ") != "update update succeeded update started claim" {
			t.Errorf("git log shows\n%s", got)
		}
	})
}

// TestLedgerAtOnce: several writers claim runs of their own, and all of them some that are everybody's.
func TestLedgerAtOnce(t *testing.T) {
	const writers, each = 5, 10
	everywhere(t, func(t *testing.T, r *repo, open func() *Ledger) {
		var all sync.WaitGroup
		var won [3]atomic.Int32
		for w := range writers {
			l := open()
			for n := range each + len(won) {
				all.Go(func() {
					number := w*each + n
					if n >= each {
						number = 1000 + n - each
					}
					run := tuned(number)
					run.Controller = fmt.Sprint(w)
					got, ok, err := l.ClaimRun(t.Context(), run)
					switch {
					case err != nil, n < each && !ok, ok != (got.Controller == run.Controller):
						t.Errorf("writer %d claimed %d: %v %+v, %v", w, number, ok, got, err)
					case n >= each && ok:
						won[n-each].Add(1)
					}
				})
			}
		}
		all.Wait()
		for n := range won {
			if got := won[n].Load(); got != 1 {
				t.Errorf("%d writers won run %d", got, n)
			}
		}
		r.wantRuns(open(), writers*each+len(won))
	})
}

// cutting is a server whose answers to pushes get lost on the way as often as cut says.
type cutting struct {
	*httptest.Server
	cut  atomic.Int32
	then func()
}

func cutOff(t *testing.T, srv *server) *cutting {
	t.Helper()
	to, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{then: func() {}}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(resp *http.Response) error {
		if strings.HasSuffix(resp.Request.URL.Path, "/git-receive-pack") && c.cut.Add(-1) >= 0 {
			_, _ = io.Copy(io.Discard, resp.Body) // the server is done
			c.then()
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	c.Server = httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c
}

// TestLedgerUnanswered: who claimed knows so, though the server's answer to his push did not come.
func TestLedgerUnanswered(t *testing.T) {
	r, srv, mirror := shared(t)
	c := cutOff(t, srv)
	l := open(t, Config{URL: c.URL + "/.git", Mirror: t.TempDir()}).NewLedger(davit)
	r.wantRuns(l, 0)
	c.cut.Store(1)
	first := claim(t, l, tuned(1), true)
	if got := r.git("rev-list", "--count", RunsRef); got != "1" || c.cut.Load() >= 1 {
		t.Errorf("%s commits", got)
	}
	c.cut.Store(1)
	first.State = RunStarted
	if got, err := l.RecordRun(t.Context(), first, RunClaimed); err != nil || got.State != RunStarted {
		t.Errorf("%+v, %v", got, err)
	}

	// The server is away right after it, and somebody else comes first when it is back.
	other := mirror().NewLedger(davit)
	c.then = func() { srv.setDown(true) }
	c.cut.Store(1)
	if _, won, err := l.ClaimRun(t.Context(), tuned(2)); won || err == nil {
		t.Errorf("claimed %v, %v", won, err)
	}
	srv.setDown(false)
	claim(t, other, tuned(2), false)
	claim(t, l, tuned(2), true)
	claim(t, l, tuned(2), false)
	r.wantRuns(other, 2)
	checks, requests := srv.checks(), srv.requests()
	if r.wantRuns(other, 2); srv.checks() != checks+1 || srv.requests() != requests {
		t.Errorf("asking again took %d checks of refs and %d requests for objects", srv.checks()-checks, srv.requests()-requests)
	}

	// It did not arrive, and somebody else's did.
	srv.setDown(true)
	if _, won, err := l.ClaimRun(t.Context(), tuned(3)); won || err == nil {
		t.Errorf("claimed %v, %v", won, err)
	}
	srv.setDown(false)
	claim(t, other, tuned(3), true)
	claim(t, l, tuned(3), false)
}

func TestLedgerRefused(t *testing.T) {
	r, _, mirror := shared(t)
	l := mirror().NewLedger(davit)
	for name, set := range map[string][2]string{"forbidden": {"http.receivepack", "false"}, "hidden": {"receive.hideRefs", "refs/davit"}} {
		t.Run(name, func(t *testing.T) {
			r.git("config", set[0], set[1])
			defer func() {
				r.git("config", "--unset", set[0])
				r.git("config", "http.receivepack", "true")
			}()
			if _, won, err := l.ClaimRun(t.Context(), tuned(1)); won || !errors.Is(err, ErrReadOnly) {
				t.Errorf("claimed %v, %v", won, err)
			}
			r.wantRuns(l, 0)
		})
	}
	claim(t, l, tuned(1), true)
	for _, hash := range []string{"", "12ab", strings.Repeat("A", 64), "../" + strings.Repeat("a", 61)} {
		if _, won, err := l.ClaimRun(t.Context(), Run{Hash: hash}); won || err == nil {
			t.Errorf("hash %q was claimed", hash)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, won, err := l.ClaimRun(ctx, tuned(2)); won || !errors.Is(err, context.Canceled) {
		t.Errorf("claimed %v, %v", won, err)
	}
}

// TestLedgerUnreadable: what is no ledger is told by its file, and starts nothing.
func TestLedgerUnreadable(t *testing.T) {
	hash := tuned(1).Hash
	path := hash[:2] + "/" + hash + ".json"
	everywhere(t, func(t *testing.T, r *repo, open func() *Ledger) {
		l := open()
		claim(t, l, tuned(1), true)
		good := r.git("rev-parse", RunsRef)
		for _, c := range []struct{ name, file, text, want string }{
			{"json", path, "{", path + ":1: decoding the run"},
			{"state", path, `{"hash": "` + hash + `", "state": "Dreaming"}`, `state "Dreaming" is not known`},
			{"hash", path, `{"hash": "12", "state": "Claimed"}`, `the run's hash is "12"`},
			{"place", "zz/" + hash + ".json", `{}`, "zz/" + hash + ".json:1: it is no run"},
			{"file", "README", "hello", "README:1: it is no run"},
		} {
			r.git("update-ref", RunsRef, r.edited(good, c.file, c.text))
			for _, l := range []*Ledger{l, open()} {
				if runs, err := l.Runs(t.Context()); err == nil || runs != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), RunsRef) {
					t.Errorf("%s: %v, %v", c.name, runs, err)
				}
				if _, won, err := l.ClaimRun(t.Context(), tuned(2)); won || err == nil {
					t.Errorf("%s: claimed", c.name)
				}
			}
		}
		r.git("update-ref", RunsRef, r.git("hash-object", "-w", "-t", "blob", os.DevNull))
		if _, err := open().Runs(t.Context()); err == nil || !strings.Contains(err.Error(), RunsRef) {
			t.Errorf("a blob is taken for a ledger: %v", err)
		}

		// Fewer runs are not told from runs that never were, but for who knows of them.
		for _, rewound := range []string{"", r.git("rev-parse", "main")} {
			if r.git("update-ref", "-d", RunsRef); rewound != "" {
				r.git("update-ref", RunsRef, rewound)
			}
			if _, won, err := l.ClaimRun(t.Context(), tuned(1)); won || !errors.Is(err, ErrLedgerLost) {
				t.Errorf("claimed %v, %v", won, err)
			}
		}
		r.git("update-ref", RunsRef, good)
		r.wantRuns(l, 1)
		// A person takes a run out, for it to run again.
		r.git("update-ref", RunsRef, r.git("commit-tree", "-p", good, "-m", "again", r.git("mktree", "--missing", "-z")))
		r.wantRuns(l, 0)
		claim(t, l, tuned(1), true)
	})
}

// edited is a commit on another with one more file.
func (r *repo) edited(base, file, text string) string {
	r.t.Helper()
	r.git("read-tree", "--index-output="+filepath.Join(r.dir, ".git/index"), base)
	r.write(".git/text", text)
	r.git("update-index", "--add", "--cacheinfo", "100644,"+r.git("hash-object", "-w", ".git/text")+","+file)
	commit := r.git("commit-tree", "-p", base, "-m", "edited", r.git("write-tree"))
	r.git("read-tree", "HEAD")
	return commit
}
