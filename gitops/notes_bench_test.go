package gitops

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const fleetNotes = 10_000

// noted10k is a served repository of 10,000 commits with a note on each, packed by the real git.
func noted10k(b *testing.B) (*repo, *server) {
	b.Helper()
	r := newRepo(b)
	r.git("config", "http.receivepack", "true")
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
	for i := range fleetNotes {
		fmt.Fprintf(w, "commit refs/heads/main\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\n", i+1, 1700000000+i)
	}
	fmt.Fprintf(w, "commit %s\ncommitter Ada <ada@example.com> 1800000000 +0000\ndata 1\nx\n", NotesRef)
	for i := range fleetNotes {
		line, err := healthy(fmt.Sprintf("production/r%05d", i), i).line()
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(w, "N inline :%d\ndata %d\n%s\n\n", i+1, len(line)+1, line)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	r.git("update-ref", "refs/heads/"+OutcomeBranch, NotesRef)
	r.git("repack", "-adq")
	return r, serve(b, r, "")
}

// BenchmarkNote is one outcome more in a repository of 10,000 notes, over http: written, signed by nobody, and pushed to
// both refs.
func BenchmarkNote(b *testing.B) {
	r, srv := noted10k(b)
	head := ParseHash(r.git("rev-parse", "main"))
	b.Run("davit", func(b *testing.B) {
		s := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()})
		n := s.NewNotes(davit, nil)
		for i := 0; b.Loop(); i++ {
			n.Add(head, healthy(fmt.Sprint("staging/", b.N), i))
			if err := n.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("git", func(b *testing.B) {
		clone := filepath.Join(b.TempDir(), "clone")
		run(b, ".", "clone", "-q", "--mirror", srv.url(""), clone)
		for i := 0; b.Loop(); i++ {
			run(b, clone, "notes", "--ref=davit", "append", "-m", fmt.Sprint("line ", i), head.String())
			run(b, clone, "update-ref", "refs/heads/"+OutcomeBranch, NotesRef)
			run(b, clone, "push", "-q", "--atomic", srv.url(""), NotesRef, OutcomeBranch)
		}
	})
	r.git("fsck", "--strict")
}

// BenchmarkNoteRace is an outcome whose first push comes too late.
func BenchmarkNoteRace(b *testing.B) {
	r, srv := noted10k(b)
	head := ParseHash(r.git("rev-parse", "main"))
	n := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()}).NewNotes(davit, nil)
	other := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()}).NewNotes(davit, nil)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		other.Add(head, healthy("other/release", i))
		if err := other.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		n.Add(head, healthy("a/release", i))
		if err := n.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNotes is 10,000 outcomes of one commit, as a shared change makes them: in one write, and one more on top.
func BenchmarkNotes(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		r := newRepo(b)
		head := ParseHash(r.commit("one", "a", "1"))
		r.git("config", "http.receivepack", "true")
		n := opened(b, Config{URL: serve(b, r, "").url(""), Mirror: b.TempDir()}).NewNotes(davit, nil)
		for i := range fleetNotes {
			e := healthy(fmt.Sprintf("production/r%05d", i), i)
			e.Applied, e.Seen, e.Controller, e.Image = e.At, e.At, "davit-7d9c", fmt.Sprintf("registry.example.com/models/r%05d@sha256:%064d", i, i*7919)
			n.Add(head, e)
		}
		b.StartTimer()
		if err := n.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		n.Add(head, healthy("production/last", 1))
		start := time.Now()
		if err := n.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/one-more")
		b.StartTimer()
	}
}
