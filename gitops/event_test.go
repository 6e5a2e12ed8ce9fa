package gitops

import (
	"crypto/sha1"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEvents reads notes that git wrote, from the notes ref and from a clone's remote branch, each once.
func TestEvents(t *testing.T) {
	r := newRepo(t)
	r.write("a", "1")
	first := r.commit("one")
	r.git("notes", "--ref=davit", "add", "-m", `{"at":"2026-11-26T10:00:00Z","release":"production/iris","outcome":"Healthy","version":"v1"}`+"\nlooks good\n"+
		`{"at":"2026-11-26T09:00:00Z","release":"staging/iris","outcome":"Healthy","version":"v1"}`, first)
	r.git("update-ref", "refs/heads/davit/outcome", "refs/notes/davit")
	clone := filepath.Join(t.TempDir(), "clone")
	r.git("clone", "-q", r.dir, clone)
	for _, dir := range []string{r.dir, clone} {
		s, err := Open(t.Context(), Config{URL: dir})
		if err != nil {
			t.Fatal(err)
		}
		events, err := s.Events(t.Context(), nil)
		if err != nil || len(events) != 2 || events[0].Release != "staging/iris" || events[1].Commit.String() != first {
			t.Fatalf("%s: %+v, %v", dir, events, err)
		}
	}
}

// TestEventsOfSome reads what is wanted of so many notes that git cuts their paths into folders.
func TestEventsOfSome(t *testing.T) {
	r := newRepo(t)
	var in strings.Builder
	in.WriteString("commit refs/notes/davit\ncommitter davit <d@example.com> 1767312000 +0000\ndata 5\nnotes\n")
	r.commit("one", "a", "1")
	line := `{"at":"2026-11-26T10:00:00Z","release":"production/iris","outcome":"Healthy"}`
	var hashes []Hash
	for i := range 300 {
		hashes = append(hashes, ParseHash(fmt.Sprintf("%040x", sha1.Sum([]byte{byte(i), byte(i >> 8)}))))
		name := hashes[i].String()
		fmt.Fprintf(&in, "M 644 inline %s/%s\ndata %d\n%s\n", name[:2], name[2:], len(line), line)
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := r.open("main")
	for want, n := range map[int]int{-1: 300, 0: 0, 7: 7} {
		var wanted map[Hash]bool
		if want >= 0 {
			wanted = map[Hash]bool{}
			for _, h := range hashes[:want] {
				wanted[h] = true
			}
		}
		events, err := s.Events(t.Context(), wanted)
		if err != nil || len(events) != n {
			t.Errorf("%d wanted: %d events, %v", want, len(events), err)
		}
		told := map[Hash]bool{}
		err = s.EachEvent(t.Context(), wanted, func(e Noted) { told[e.Commit] = e.Release == "production/iris" && e.Outcome == "Healthy" })
		for _, e := range events {
			if !told[e.Commit] {
				t.Errorf("%d wanted: nothing told of %s", want, e.Commit)
			}
		}
		if err != nil || len(told) != n {
			t.Errorf("%d wanted: %d told, %v", want, len(told), err)
		}
	}
	if has, err := s.HasEvents(); err != nil || !has {
		t.Error(has, err)
	}
	before, err := s.EventsAt()
	again, errAgain := s.EventsAt()
	if err != nil || errAgain != nil || before != again {
		t.Errorf("nothing changed: %s, %s, %v, %v", before, again, err, errAgain)
	}
	r.git("notes", "--ref=davit", "append", "-m", line, "HEAD")
	if after, err := s.EventsAt(); err != nil || after == before {
		t.Errorf("one more outcome: %s, %v", after, err)
	}
}
