package gitops

import (
	"fmt"
	"slices"
	"testing"
)

// tells gives what an Outcomes tells next, sorted, each once.
func tells(t *testing.T, o *Outcomes) (versions []string) {
	t.Helper()
	if _, err := o.Next(t.Context(), func(n Noted) { versions = append(versions, n.Version) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// TestOutcomes: each call tells what is new, and with signers only what one of them added: neither what others wrote, nor
// that on which they wrote on, also when the notes' tree is cut into folders meanwhile.
func TestOutcomes(t *testing.T) {
	author, allowed := signing(t, "ed25519")
	signers, err := ParseSigners(allowed)
	if err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	var commits []string
	for i := range 300 {
		commits = append(commits, r.commit("one", "a", fmt.Sprint(i)))
	}
	s := r.open("")
	n := s.NewNotes(author, nil)
	add := func(commit string, version int) {
		n.Add(ParseHash(commit), healthy("production/iris", version))
		flush(t, n)
	}
	forge := func(commit, version string) {
		r.git("notes", "--ref=davit", "append", "-m", `{"at":"2026-11-26T10:00:00Z","release":"production/iris","outcome":"Healthy","version":"`+version+`"}`, commit)
	}
	own, everybody := &Outcomes{Source: s, Signers: signers}, &Outcomes{Source: s}
	if some, err := own.Next(t.Context(), nil); err != nil || some {
		t.Fatalf("of a repository without outcomes: %v, %v", some, err)
	}
	add(commits[0], 1)
	forge(commits[0], "forged")
	forge(commits[1], "forged too")
	add(commits[1], 2)
	if got := tells(t, own); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("signed: %q", got)
	}
	if got := tells(t, everybody); !slices.Equal(got, []string{"forged", "forged too", "v1", "v2"}) {
		t.Errorf("everybody's: %q", got)
	}
	for i, c := range commits { // enough for folders
		n.Add(ParseHash(c), healthy("production/iris", 3+i%2))
	}
	flush(t, n)
	if got := tells(t, own); !slices.Equal(got, []string{"v3", "v4"}) {
		t.Errorf("signed, and folders: %q", got)
	}
	if got := tells(t, everybody); !slices.Contains(got, "v4") {
		t.Errorf("everybody's: %q", got)
	}
	add(commits[2], 5)
	if got := tells(t, everybody); !slices.Equal(got, []string{"v3", "v5"}) {
		t.Errorf("everybody's: %q", got)
	}
	if got := tells(t, own); !slices.Equal(got, []string{"v5"}) {
		t.Errorf("signed: %q", got)
	}
	if got := tells(t, own); len(got) > 0 {
		t.Errorf("told again: %q", got)
	}
}
