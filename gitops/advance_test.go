package gitops

import (
	"errors"
	"strings"
	"testing"
)

// TestAdvance: a commit on the followed branch itself, on top of what it was made for and of nothing else; with a branch it
// merges; local, bare, served. A branch that is checked out is left alone.
func TestAdvance(t *testing.T) {
	for _, kind := range []string{"checked out", "checked out elsewhere", "rebasing", "detached", "bare", "served"} {
		t.Run(kind, func(t *testing.T) {
			r, _, mirror := shared(t)
			main := r.git("rev-parse", "main")
			s := r.open("main")
			switch kind {
			case "detached":
				r.git("checkout", "-q", "--detach")
			case "checked out elsewhere":
				r.git("checkout", "-q", "--detach")
				r.git("worktree", "add", "-q", t.TempDir()+"/other", "main")
			case "rebasing":
				r.git("-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "--root") // stops, and moves main when it goes on
				if _, err := r.try("branch", "-f", "main", "main"); err == nil {
					t.Fatal("git does not take main for checked out")
				}
			case "bare":
				bare := &repo{t: t, dir: t.TempDir(), clock: r.clock}
				bare.git("clone", "-q", "--bare", r.dir, ".")
				r, s = bare, bare.open("main")
			case "served":
				s = mirror()
				r.git("checkout", "-q", "--detach")
			}
			p := Proposal{Base: ParseHash(main), Message: "Promote iris\n\nBy a rule.", Author: davit, Files: []FileChange{{Path: "a/new", Content: []byte("x")}}}
			h, err := s.Advance(t.Context(), p, Hash{})
			if strings.HasPrefix(kind, "checked out") || kind == "rebasing" {
				if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "committing to main: ") || r.git("rev-parse", "main") != main {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := r.git("log", "-1", "--format=%H %P %an %s|%b", "main"); got != h.String()+" "+main+" davit Promote iris|By a rule." {
				t.Errorf("it is %s", got)
			}
			if now, err := s.Tip(t.Context()); err != nil || now != h {
				t.Errorf("here it is at %s, %v", now, err)
			}
			p.Files[0].Content = []byte("y")
			if _, err := s.Advance(t.Context(), p, Hash{}); !errors.Is(err, ErrMoved) {
				t.Errorf("on what main was before: %v", err)
			}
			p.Base, p.Branch = h, "davit/promote/iris"
			merged, err := s.Propose(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if h, err = s.Advance(t.Context(), p, merged); err != nil {
				t.Fatal(err)
			}
			if got := r.git("log", "-1", "--format=%P", "main"); got != p.Base.String()+" "+merged.String() {
				t.Errorf("its parents are %s", got)
			}
			p.Base = h
			if _, err := s.Advance(t.Context(), p, Hash{}); !errors.Is(err, ErrNoChange) {
				t.Errorf("again: %v", err)
			}
			if paths, err := s.Differ(t.Context(), ParseHash(main), h); err != nil || strings.Join(paths, " ") != "a/new" {
				t.Errorf("%v, %v", paths, err)
			}
			r.git("fsck", "--strict")
		})
	}
}
