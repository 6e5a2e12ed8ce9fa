package gitops

import (
	"bufio"
	"fmt"
	"os/exec"
	"testing"
)

// ran10k is a served repository with 10,000 runs in its ledger, packed by the real git.
func ran10k(b *testing.B) (*repo, *server) {
	b.Helper()
	r, srv, _ := shared(b)
	r.git("config", "receive.autogc", "false")
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir = r.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	for i := range 10_000 {
		run := tuned(i)
		run.State = RunSucceeded
		data, err := run.Encode()
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(w, "commit %s\ncommitter davit <davit@example.com> %d +0000\ndata 1\nx\n", RunsRef, 1700000000+i)
		fmt.Fprintf(w, "M 100644 inline %s/%s.json\ndata %d\n%s\n", run.Hash[:2], run.Hash, len(data), data)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	r.git("repack", "-adq")
	return r, srv
}

// BenchmarkLedger is with 10,000 runs in the ledger: one claim more, over http and in a local repository, asking again
// for what did not change, and reading all of it for the first time.
func BenchmarkLedger(b *testing.B) {
	r, srv := ran10k(b)
	served := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()})
	local := opened(b, Config{URL: r.dir})
	n := 10_000
	for name, s := range map[string]*Source{"served": served, "local": local} {
		b.Run(name+"/first", func(b *testing.B) {
			for b.Loop() {
				if runs, err := s.NewLedger(davit).Runs(b.Context()); err != nil || len(runs) < 10_000 {
					b.Fatal(len(runs), err)
				}
			}
		})
		l := s.NewLedger(davit)
		if _, err := l.Runs(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/again", func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Runs(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/claim", func(b *testing.B) {
			for b.Loop() {
				n++
				claim(b, l, tuned(n), true)
			}
		})
	}
}
