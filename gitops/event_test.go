package gitops

import (
	"path/filepath"
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
