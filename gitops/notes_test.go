package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func healthy(release string, n int) Event {
	return Event{At: time.Date(2026, 11, 26, 10, 0, n, 5, time.UTC), Release: release, Outcome: "Healthy", Version: fmt.Sprint("v", n), Message: "2 < 3"}
}

// noted reads a note as git shows it, without empty lines.
func (r *repo) noted(ref, commit string) []string {
	r.t.Helper()
	return slices.DeleteFunc(strings.Split(r.git("notes", "--ref="+ref, "show", commit), "\n"), func(l string) bool { return l == "" })
}

func flush(t testing.TB, n *Notes) {
	t.Helper()
	if err := n.Flush(t.Context()); err != nil || n.Pending() != 0 || n.Trouble() != "" {
		t.Fatalf("%v, %d wait, trouble %q", err, n.Pending(), n.Trouble())
	}
}

// same says whether both refs are one commit, and gives it.
func (r *repo) same() string {
	r.t.Helper()
	notes := r.git("rev-parse", NotesRef)
	if branch := r.git("rev-parse", "refs/heads/"+OutcomeBranch); branch != notes {
		r.t.Errorf("notes are at %s, the branch at %s", notes, branch)
	}
	r.git("fsck", "--strict")
	return notes
}

// TestNotes: a repository of the user's own and a served one get notes that git shows, each line once, beside what a
// person wrote, signed.
func TestNotes(t *testing.T) {
	a, allowed := signing(t, "ed25519")
	signers, err := ParseSigners(allowed)
	if err != nil {
		t.Fatal(err)
	}
	for name, served := range map[string]bool{"local": false, "served": true} {
		t.Run(name, func(t *testing.T) {
			r, _, mirror := shared(t)
			first := r.git("rev-parse", "HEAD")
			r.git("notes", "--ref=davit", "add", "-m", "looks good\n\nto me", first)
			s := r.open("")
			if served {
				s = mirror()
				r.clock = time.Now().Add(time.Hour) // the other person's clock is a year behind
			}
			n := s.NewNotes(a, nil)
			n.Add(ParseHash(first), healthy("production/iris", 1))
			n.Add(ParseHash(first), healthy("production/llm", 2))
			n.Add(ParseHash(first), healthy("production/llm", 2))
			flush(t, n)
			want := []string{"looks good", "to me",
				`{"at":"2026-11-26T10:00:01Z","release":"production/iris","outcome":"Healthy","version":"v1","message":"2 < 3"}`,
				`{"at":"2026-11-26T10:00:02Z","release":"production/llm","outcome":"Healthy","version":"v2","message":"2 < 3"}`}
			wantPaths(t, r.noted("davit", first), want)
			commit := r.same()
			if got := r.git("log", "-1", "--format=%s", commit); got != "2 outcomes: production/iris v1 Healthy, production/llm v2 Healthy" {
				t.Errorf("message %q", got)
			}
			if got := r.git("log", "--notes=davit", "-1", "main"); !strings.Contains(got, `Notes (davit):`) || !strings.Contains(got, want[2]) {
				t.Errorf("git log shows %s", got)
			}
			if _, err := s.Verify(t.Context(), ParseHash(commit), signers); err != nil {
				t.Error(err)
			}
			if events, err := s.Events(t.Context(), nil); err != nil || len(events) != 2 {
				t.Errorf("%v, %v", events, err)
			}
			// A replay writes nothing; a person's word in between stays.
			n.Add(ParseHash(first), healthy("production/iris", 1))
			flush(t, n)
			if got := r.same(); got != commit {
				t.Error("a replay was written")
			}
			r.git("notes", "--ref=davit", "append", "-m", "rolled back by hand", first)
			n.Add(ParseHash(first), healthy("production/iris", 3))
			flush(t, n)
			if got := r.git("log", "-1", "--format=%P", r.same()); len(got) != 40 {
				t.Errorf("parents %s", got)
			}
			if got := r.noted("davit", first); len(got) != 6 || got[4] != "rolled back by hand" {
				t.Errorf("%q", got)
			}
			if got := r.git("status", "--porcelain"); got != "" {
				t.Errorf("the worktree changed: %s", got)
			}
		})
	}
}

// TestNotesAtOnce: two writers on mirrors of their own and a person with git, all on one commit and at once; also on a
// server that moves refs one by one.
func TestNotesAtOnce(t *testing.T) {
	for _, atomic := range []string{"true", "false"} {
		t.Run("atomic-"+atomic, func(t *testing.T) {
			r, srv, mirror := shared(t)
			r.git("config", "receive.advertiseAtomic", atomic)
			first := r.git("rev-parse", "HEAD")
			r.git("notes", "--ref=davit", "add", "-m", "begun", first)
			atOnce(t, r, srv, mirror, first)
		})
	}
}

func atOnce(t *testing.T, r *repo, srv *server, mirror func() *Source, first string) {
	const each = 8
	var wg sync.WaitGroup
	for w := range 2 {
		n := mirror().NewNotes(davit, nil)
		wg.Go(func() {
			for i := range each {
				n.Add(ParseHash(first), healthy(fmt.Sprint("production/writer", w), i))
				_ = n.Flush(t.Context()) // it stays queued
			}
			for deadline := time.Now().Add(2 * time.Minute); n.Pending() > 0 && time.Now().Before(deadline); {
				_ = n.Flush(t.Context())
			}
		})
	}
	person := &repo{t: t, dir: filepath.Join(t.TempDir(), "clone"), clock: r.clock}
	r.git("clone", "-q", srv.url(""), person.dir)
	wg.Go(func() {
		for i := 0; i < each; {
			person.git("fetch", "-q", "origin", "+"+NotesRef+":"+NotesRef)
			person.git("notes", "--ref=davit", "append", "-m", fmt.Sprint("person ", i), first)
			if _, err := person.try("push", "-q", "origin", NotesRef); err == nil {
				i++
			}
		}
	})
	wg.Wait()
	got := strings.Join(r.noted("davit", first), "\n")
	for i := range each {
		for _, want := range []string{fmt.Sprintf(`writer0","outcome":"Healthy","version":"v%d"`, i), fmt.Sprintf(`writer1","outcome":"Healthy","version":"v%d"`, i), fmt.Sprintf("person %d\n", i)} {
			if n := strings.Count(got+"\n", want); n != 1 {
				t.Errorf("%q is there %d times", want, n)
			}
		}
	}
	r.git("fsck", "--strict")
}

// TestNotesMerge: refs that went separate ways become one with the lines of both.
func TestNotesMerge(t *testing.T) {
	r := newRepo(t)
	first, second := r.commit("one", "a", "1"), r.commit("two", "a", "2")
	n := r.open("").NewNotes(davit, nil)
	n.Add(ParseHash(first), healthy("production/iris", 1))
	flush(t, n)
	r.git("notes", "--ref=davit", "append", "-m", "on the ref", first)
	r.git("notes", "--ref=davit", "append", "-m", "alone", second)
	r.git("symbolic-ref", "refs/notes/other", "refs/heads/davit/outcome")
	r.git("notes", "--ref=other", "append", "-m", "on the branch", first)
	n.Add(ParseHash(first), healthy("production/iris", 2))
	flush(t, n)
	r.same()
	got := r.noted("davit", first)
	for _, want := range []string{"on the ref", "on the branch"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if len(got) != 4 || r.noted("davit", second)[0] != "alone" || len(r.lines("log", "-1", "--format=%p", NotesRef)[0]) < 14 {
		t.Errorf("%q", got)
	}
	// One ref that is gone comes back.
	r.git("update-ref", "-d", NotesRef)
	n.Add(ParseHash(first), healthy("production/iris", 2))
	flush(t, n)
	r.same()
}

// TestNotesFanout: many notes are in folders as git cuts them, and git and davit read each other's.
func TestNotesFanout(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	var script strings.Builder
	for i := range 150 {
		fmt.Fprintf(&script, "commit refs/heads/main\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\n", i+1, 1767225600+i)
		if i == 0 {
			fmt.Fprintf(&script, "from %s\n", first)
		}
	}
	r.write("in", script.String())
	tool(t, []string{"GIT_DIR=" + filepath.Join(r.dir, ".git")}, "sh", "-c", "git fast-import --quiet < "+filepath.Join(r.dir, "in"))
	commits := strings.Fields(r.git("rev-list", "main"))
	n := r.open("").NewNotes(davit, nil)
	for i, c := range commits {
		n.Add(ParseHash(c), healthy("production/iris", i))
		r.git("notes", "--ref=git", "add", "-m", "x", c)
		if i%10 > 0 && i < len(commits)-1 {
			continue
		}
		flush(t, n)
		ours, gits := r.lines("ls-tree", "-r", "--name-only", NotesRef), r.lines("ls-tree", "-r", "--name-only", "refs/notes/git")
		if !slices.Equal(ours, gits) {
			t.Errorf("%d notes are in other folders than git's", len(ours))
		}
	}
	if got := len(r.lines("notes", "--ref=davit", "list")); got != len(commits) {
		t.Errorf("git lists %d notes of %d", got, len(commits))
	}
	r.git("notes", "--ref=davit", "append", "-m", "by hand", commits[7]) // git writes the tree in its own way
	n.Add(ParseHash(commits[7]), healthy("production/iris", 1))
	flush(t, n)
	if got := r.noted("davit", commits[7]); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if events, err := r.open("").Events(t.Context(), nil); err != nil || len(events) != len(commits)+1 {
		t.Errorf("%d events, %v", len(events), err)
	}
	r.same()
	if got := r.git("ls-tree", "-r", "--name-only", NotesRef); !strings.Contains(got, "/") {
		t.Error("many notes are in one folder")
	}
}

// TestNotesTwoPlaces: a note that is in two places, as git allows, becomes one with the lines of both.
func TestNotesTwoPlaces(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	for path, text := range map[string]string{first: "flat", first[:2] + "/" + first[2:]: "cut"} {
		r.write("text", text)
		r.git("--work-tree=/", "update-index", "--add", "--cacheinfo", "100644,"+r.git("hash-object", "-w", "text")+","+path)
	}
	r.git("rm", "-q", "--cached", "a")
	r.git("update-ref", NotesRef, r.git("commit-tree", "-m", "x", r.git("write-tree")))
	n := r.open("").NewNotes(davit, nil)
	n.Add(ParseHash(first), healthy("production/iris", 1))
	flush(t, n)
	if got := r.noted("davit", first); len(got) != 3 || len(r.lines("ls-tree", "-r", r.same())) != 1 {
		t.Errorf("%q", got)
	}
}

// TestNotesRun: what is added is written within moments, waits for a server that is away, and is written at the end.
func TestNotesRun(t *testing.T) {
	r, srv, mirror := shared(t)
	first := r.git("rev-parse", "HEAD")
	n := mirror().NewNotes(davit, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		n.Run(ctx)
		close(done)
	}()
	until := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); n.Pending() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d wait: %s", n.Pending(), n.Trouble())
			}
		}
	}
	srv.setDown(true)
	n.Add(ParseHash(first), healthy("production/iris", 1))
	for deadline := time.Now().Add(2 * time.Minute); n.Trouble() == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no word of a server that is away")
		}
	}
	if !strings.Contains(n.Trouble(), "degraded: 1 outcomes wait") || !strings.Contains(n.Trouble(), "503") {
		t.Error(n.Trouble())
	}
	srv.setDown(false)
	until(0)
	n.Add(ParseHash(first), healthy("production/iris", 2))
	cancel()
	<-done
	if got := r.noted("davit", first); len(got) != 2 || n.Trouble() != "" {
		t.Errorf("%q, %s", got, n.Trouble())
	}
}

// TestNotesThen: who waits for an outcome is told once, when it is written, and not while the server is away; at once where nothing
// can be written.
func TestNotesThen(t *testing.T) {
	r, srv, mirror := shared(t)
	first := ParseHash(r.git("rev-parse", "HEAD"))
	n := mirror().NewNotes(davit, nil)
	told := 0
	add := func(minute, want int, down bool) {
		t.Helper()
		srv.setDown(down)
		n.AddThen(first, healthy("production/iris", minute), func() { told++; n.Pending() }) // it may ask
		_ = n.Flush(t.Context())
		if told != want {
			t.Fatalf("told %d times, not %d: %s", told, want, n.Trouble())
		}
	}
	add(1, 1, false)
	add(2, 1, true)
	add(3, 3, false)
	r.git("config", "http.receivepack", "false")
	add(4, 4, false)
	n.AddThen(first, healthy("production/iris", 5), func() { told++ })
	if told != 5 || n.Pending() != 2 {
		t.Errorf("told %d times, %d wait", told, n.Pending())
	}
	n.AddThen(Hash{}, healthy("production/iris", 6), func() { told++ })
	if told != 6 {
		t.Error("who waits for what can't be written waits for ever")
	}
	r.git("config", "http.receivepack", "true")
	flush(t, n)
	if told != 6 || n.Pending() != 0 {
		t.Errorf("told %d times, %d wait", told, n.Pending())
	}
}

// TestNotesGap: 10,000 outcomes of one commit in a quarter of an hour are some dozens of writes, and one alone is quick.
func TestNotesGap(t *testing.T) {
	writes, events := 0, 0
	for now := company; events < 10_000; now += gap(events * 300) {
		writes, events = writes+1, int(now/(90*time.Millisecond))
	}
	if writes > 60 || gap(300) > 4*time.Second || gap(1<<30) != maxGap {
		t.Errorf("%d writes", writes)
	}
}

// TestNotesRefused: a repository that takes no writes is told once, and one that refuses a ref gets the other.
func TestNotesRefused(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	srv := serve(t, r, "")
	var logged bytes.Buffer
	var mu sync.Mutex
	n := open(t, Config{URL: srv.url(""), Mirror: t.TempDir()}).NewNotes(davit, logTo(&logged, &mu))
	for i := range 3 {
		n.Add(ParseHash(first), healthy("production/oldest", i))
		if err := n.Flush(t.Context()); !errors.Is(err, ErrReadOnly) {
			t.Fatal(err)
		}
	}
	if n.Pending() != 3 || !strings.HasPrefix(n.Trouble(), "degraded: 3 outcomes wait: ") || strings.Count(logged.String(), "\n") != 1 {
		t.Errorf("%d wait, %s, log %s", n.Pending(), n.Trouble(), &logged)
	}
	for i := range maxQueue {
		n.Add(ParseHash(first), healthy("production/iris", i%60))
	}
	if n.Pending() != maxQueue || strings.Count(logged.String(), "oldest are dropped") != 1 {
		t.Errorf("%d wait", n.Pending())
	}
	n.Add(ParseHash(first), healthy("production/newest", 1))
	r.git("config", "http.receivepack", "true")
	flush(t, n)
	r.same()
	if got := strings.Join(r.noted("davit", first), "\n"); strings.Contains(got, "oldest") || !strings.Contains(got, "newest") {
		t.Error("the newest outcomes were dropped")
	}

	logged.Reset()
	refs := "refs/notes"
	for i := range 4 {
		switch i {
		case 0:
			r.git("config", "receive.hideRefs", refs)
		case 2: // the branch is protected instead, by a hook
			r.git("config", "--unset", "receive.hideRefs")
			clear(n.barred) // an hour later
			if err := os.WriteFile(filepath.Join(r.dir, ".git/hooks/update"), []byte("#!/bin/sh\ncase $1 in *outcome) echo protected >&2; exit 1;; esac\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		n.Add(ParseHash(first), healthy("staging/iris", i))
		before := srv.requests()
		if err := n.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if asked := srv.requests() - before; i%2 == 1 && asked != 1 {
			t.Errorf("%d pushes, though it is known which ref is refused", asked)
		}
		ref, other := OutcomeBranch, "refs/notes/davit"
		if i >= 2 {
			ref, other = NotesRef, OutcomeBranch
		}
		if got := r.git("log", "-1", "--format=%s", ref); got != fmt.Sprintf("1 outcome: staging/iris v%d Healthy", i) {
			t.Errorf("%s has %q", ref, got)
		}
		if !strings.Contains(n.Trouble(), "degraded: outcomes are not on ") || !strings.Contains(n.Trouble(), other) {
			t.Error(n.Trouble())
		}
	}
	if got := strings.Count(logged.String(), "one of the two refs"); got != 2 {
		t.Errorf("logged %d times: %s", got, &logged)
	}
	if err := os.Remove(filepath.Join(r.dir, ".git/hooks/update")); err != nil {
		t.Fatal(err)
	}
	clear(n.barred)
	n.Add(ParseHash(first), healthy("staging/iris", 9))
	flush(t, n)
	r.same()

	// Both refs are refused, then one of them alone, and then none.
	r.write(".git/hooks/update", "#!/bin/sh\necho >>tries; [ $(wc -l <tries) -gt 2 ]\n")
	if err := os.Chmod(filepath.Join(r.dir, ".git/hooks/update"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.Add(ParseHash(first), healthy("staging/iris", 10))
	flush(t, n)
	r.same()
}

// TestNotesBesideBranch: somebody's branch called davit leaves no room for davit/outcome; the notes are written.
func TestNotesBesideBranch(t *testing.T) {
	for name, served := range map[string]bool{"local": false, "served": true} {
		t.Run(name, func(t *testing.T) {
			r, srv, mirror := shared(t)
			first := r.git("rev-parse", "HEAD")
			r.git("branch", "davit")
			r.git("pack-refs", "--all")
			s := r.open("")
			if served {
				s = mirror()
			}
			n := s.NewNotes(davit, nil)
			for i := range 2 {
				n.Add(ParseHash(first), healthy("production/iris", i))
				if err := n.Flush(t.Context()); err != nil || !strings.Contains(n.Trouble(), "degraded: outcomes are not on refs/heads/davit/outcome") {
					t.Fatal(err, n.Trouble())
				}
			}
			if got := r.noted("davit", first); len(got) != 2 || srv.requests() > 6 {
				t.Errorf("%q after %d requests", got, srv.requests())
			}
			r.git("branch", "-D", "davit")
			clear(n.barred) // an hour later
			n.Add(ParseHash(first), healthy("production/iris", 2))
			flush(t, n)
			r.same()
		})
	}
}

// TestLongNote: a line more on the note of a commit that moved ten thousand releases costs few copies of it.
func TestLongNote(t *testing.T) {
	const releases, copies = 20_000, 5
	r := newRepo(t)
	commit := ParseHash(r.commit("one", "a", "1"))
	n := r.open("").NewNotes(Davit(), nil)
	for i := range releases {
		n.Add(commit, healthy(fmt.Sprintf("production/iris-%d", i), i))
	}
	flush(t, n)
	n.Add(commit, healthy("production/llm", 1))
	n.Add(commit, healthy("production/iris-7", 7)) // there already
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	flush(t, n)
	runtime.ReadMemStats(&after)
	note := r.git("notes", "--ref=davit", "show", commit.String())
	if lines := strings.Count(note, "\n"); lines != releases {
		t.Errorf("%d lines after the first, want %d", lines, releases)
	}
	took := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB for a note of %d KiB", took>>10, len(note)>>10)
	if took > uint64(copies*len(note)) {
		t.Errorf("a line took %d bytes, more than %d times the note of %d", took, copies, len(note))
	}
}
