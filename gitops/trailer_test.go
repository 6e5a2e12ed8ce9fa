package gitops

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTrailer(t *testing.T) {
	for body, want := range map[string]string{
		"":                                 "",
		"Davit-Urgent: it is down":         "it is down",
		"Why.\n\nDavit-Urgent: it is down": "it is down",
		"Davit-Urgent: quoted\n\nMore.":    "",
		"davit-urgent:it is\n  down\nSigned-off-by: ada": "it is down",
		"Davit-Urgent: a\nX: y\n z\nDavit-Urgent: b":     "b",
		"Davit-Urgently: no":                             "",
	} {
		if got, ok := (Commit{Body: body}).Trailer("Davit-Urgent"); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", body, got, ok, want)
		}
	}
}

// TestMerged agrees with git on what a merge brought in, and on what each of it changed.
func TestMerged(t *testing.T) {
	r := newRepo(t)
	r.commit("root", "a", "1")
	r.git("checkout", "-q", "-b", "old")
	r.commit("old 1", "o", "1")
	r.git("checkout", "-q", "main")
	r.tick()
	r.git("merge", "-q", "--no-ff", "-m", "merge old", "old")
	r.git("checkout", "-q", "-b", "side")
	r.commit("side 1", "s", "1")
	r.git("checkout", "-q", "main")
	r.commit("main", "a", "2")
	r.git("checkout", "-q", "side")
	r.tick()
	r.git("merge", "-q", "--no-ff", "-m", "main into side", "main")
	r.commit("side 2", "s", "2", "t", "1")
	r.git("checkout", "-q", "main")
	r.commit("main again", "a", "3")
	r.tick()
	r.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
	s := r.open("")
	tip, _ := s.Tip(t.Context())
	var got, want []string
	if err := s.Merged(t.Context(), tip, func(c Commit, paths []string) (bool, error) {
		got = append(got, fmt.Sprint(c.Hash, paths))
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, hash := range r.lines("rev-list", "HEAD", "^HEAD^1") {
		if hash != tip.String() {
			want = append(want, fmt.Sprint(hash, " ", strings.Fields(r.git("diff", "--name-only", hash+"^1", hash))))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	wantPaths(t, got, want)
	n := 0
	if err := s.Merged(t.Context(), tip, func(Commit, []string) (bool, error) { n++; return false, nil }); err != nil || n != 1 {
		t.Errorf("it went on after %d: %v", n, err)
	}
}
