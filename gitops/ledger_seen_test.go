package gitops

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLedgerLostMeanwhile removes the ledger and sets it back while no process runs: the next one knows, its words restore
// it, and a person may say that it was meant.
func TestLedgerLostMeanwhile(t *testing.T) {
	for name, served := range map[string]bool{"local": false, "served": true} {
		t.Run(name, func(t *testing.T) {
			r, srv, _ := shared(t)
			cfg := Config{URL: r.dir}
			if served {
				cfg = Config{URL: srv.url(""), Mirror: t.TempDir()}
			}
			start := func() *Ledger { return open(t, cfg).NewLedger(davit) }
			if runs, err := start().Runs(t.Context()); err != nil || len(runs) != 0 {
				t.Fatalf("of no ledger: %v, %v", runs, err)
			}
			claim(t, start(), tuned(1), true)
			first := r.git("rev-parse", RunsRef)
			claim(t, start(), tuned(2), true)
			last := r.git("rev-parse", RunsRef)
			lost := func() string {
				t.Helper()
				l := start()
				_, err := l.Runs(t.Context())
				if !errors.Is(err, ErrLedgerLost) {
					t.Fatalf("read with %v", err)
				}
				if _, won, err := l.ClaimRun(t.Context(), tuned(1)); won || !errors.Is(err, ErrLedgerLost) {
					t.Fatalf("claimed %v, %v", won, err)
				}
				return err.Error()
			}
			other := r.git("commit-tree", "-m", "another ledger", r.git("mktree", "--missing"))
			for _, to := range []string{"", first, other} {
				if r.git("update-ref", "-d", RunsRef); to != "" {
					r.git("update-ref", RunsRef, to)
				}
				told := lost()
				command := regexp.MustCompile(`git -C .* restores it`).FindString(told)
				args := strings.Fields(strings.ReplaceAll(strings.TrimSuffix(command, " restores it"), "REPOSITORY", srv.url("")))
				if to == other && served {
					r.git("update-ref", "-d", RunsRef) // such a push is no fast-forward
				}
				r.git(args[1:]...)
				if now := r.git("rev-parse", RunsRef); now != last {
					t.Fatalf("%q restores %s, want %s", command, now, last)
				}
				claim(t, start(), tuned(1), false)
				r.wantRuns(start(), 2)
			}

			// What came after while nobody looked is no loss; that nothing is left is one, until a person says that it was meant.
			r.git("update-ref", RunsRef, r.edited(last, tuned(3).Hash[:2]+"/"+tuned(3).Hash+".json", `{"hash": "`+tuned(3).Hash+`", "state": "Lost"}`))
			r.wantRuns(start(), 3)
			r.git("update-ref", "-d", RunsRef)
			file := regexp.MustCompile(`remove (\S+) if that was meant`).FindStringSubmatch(lost())
			if file == nil {
				t.Fatalf("nothing to remove in %q", lost())
			}
			if err := os.Remove(file[1]); err != nil {
				t.Fatal(err)
			}
			l := start()
			claim(t, l, tuned(1), true)
			r.git("update-ref", "-d", RunsRef)
			lost()
			if err := os.Remove(file[1]); err != nil { // a process that runs takes the word too
				t.Fatal(err)
			}
			claim(t, l, tuned(1), true)
		})
	}
}

// TestLedgerReadLeavesRepository: who only reads somebody's repository leaves no file there.
func TestLedgerReadLeavesRepository(t *testing.T) {
	r := newRepo(t)
	r.commit("one", "a", "1")
	claim(t, r.open("").NewLedger(davit), tuned(1), true)
	l := r.open("").NewLedger(Author{})
	if err := os.Remove(l.seenFile()); err != nil {
		t.Fatal(err)
	}
	r.wantRuns(l, 1)
	if _, err := os.Stat(l.seenFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is %s: %v", l.seenFile(), err)
	}
	r.wantRuns(r.open("").NewLedger(davit), 1)
	if err := os.WriteFile(l.seenFile(), []byte("what?\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.open("").NewLedger(davit).Runs(t.Context()); err == nil || !strings.Contains(err.Error(), l.seenFile()+":1: it is no commit") {
		t.Errorf("read with %v", err)
	}
}
