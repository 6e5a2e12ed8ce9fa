package gitops

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPropose: a commit on a branch of its own, moved while it is davit's alone; local and served.
func TestPropose(t *testing.T) {
	for name, served := range map[string]bool{"local": false, "served": true} {
		t.Run(name, func(t *testing.T) {
			r, _, mirror := shared(t)
			main := r.git("rev-parse", "main")
			a, _ := signing(t, "ed25519")
			s := r.open("")
			if served {
				s = mirror()
			}
			p := Proposal{Branch: "davit/rollback/iris", Base: ParseHash(main), Message: "Roll back iris\n\nIt failed.", Author: a, When: time.Unix(1767225600, 0),
				Files: []FileChange{{Path: "a/new", Content: []byte("x"), Exec: true}, {Path: "c", Delete: true}}}
			propose := func(want error) string {
				t.Helper()
				h, err := s.Propose(t.Context(), p)
				if !errors.Is(err, want) {
					t.Fatalf("%v, want %v", err, want)
				}
				if err != nil {
					return err.Error()
				}
				if got := r.git("rev-parse", p.Branch); got != h.String() {
					t.Fatalf("the branch is at %s, not %s", got, h)
				}
				r.git("fsck", "--strict")
				return h.String()
			}
			first := propose(nil)
			if got := r.git("ls-tree", "-r", "--format=%(objectmode) %(path)", first); got != "100644 a/b\n100755 a/new" {
				t.Errorf("it has %s", got)
			}
			if got := r.git("log", "-1", "--format=%P %an %s|%b", first); got != main+" davit Roll back iris|It failed." {
				t.Errorf("it is %s", got)
			}
			p.When, p.Message = p.When.Add(time.Hour), "another word"
			if propose(nil) != first {
				t.Error("the same tree was committed again")
			}
			p.Files[0].Content = []byte("y")
			second := propose(nil)
			if got := r.git("log", "-1", "--format=%P", second); got != main {
				t.Errorf("the second proposal is on %s", got)
			}

			// The first was merged, and the branch is still there: its commits are in the followed branch.
			r.git("merge", "-q", "--no-ff", "-m", "merged", second)
			if _, err := s.Fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.Base = tip(t, s)
			propose(ErrNoChange)
			p.Files[0].Content = []byte("z")
			third := propose(nil)

			// Somebody else's commit on it; one that only says it is davit's; and one that amends davit's.
			for who, commit := range map[string][]string{
				"Grace":  {"commit-tree", "-m", "mine", "-p", third, third + "^{tree}"},
				"forged": {"-c", "user.name=davit", "commit-tree", "-m", "mine", "-p", third, third + "^{tree}"},
			} {
				other := &repo{t: t, dir: r.dir, clock: r.clock}
				hash := other.git(commit...)
				if who == "forged" {
					raw := strings.ReplaceAll(strings.ReplaceAll(r.git("cat-file", "commit", hash), "ada@example.com", davit.Email), "grace@example.com", davit.Email)
					r.write("commit", raw+"\n")
					hash = r.git("hash-object", "-t", "commit", "-w", "commit")
				}
				r.git("update-ref", "refs/heads/"+p.Branch, hash)
				p.Files[0].Content = []byte("by " + who)
				if said := propose(ErrForeignBranch); !strings.Contains(said, "davit/rollback/iris; merge or delete") || !strings.Contains(said, hash[:12]) {
					t.Error(said)
				}
				if got := r.git("rev-parse", p.Branch); got != hash {
					t.Errorf("%s's commit was lost", who)
				}
			}
			if got := r.git("rev-parse", "main"); got != p.Base.String() {
				t.Error("the followed branch moved")
			}
			branches, err := s.Branches(t.Context(), "davit/")
			if now := ParseHash(r.git("rev-parse", p.Branch)); err != nil || !maps.Equal(branches, map[string]Hash{p.Branch: now}) {
				t.Errorf("%v, %v", branches, err)
			}
			if err := s.DeleteBranch(t.Context(), p.Branch, ParseHash(first)); !errors.Is(err, ErrMoved) {
				t.Error(err)
			}
			for range 2 { // again: it is gone
				if err := s.DeleteBranch(t.Context(), p.Branch, branches[p.Branch]); err != nil {
					t.Error(err)
				}
			}
			if got := r.git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
				t.Error(got)
			}
			propose(nil)
		})
	}
}

func TestProposeRefuses(t *testing.T) {
	r := newRepo(t)
	base := ParseHash(r.commit("one", "a", "1"))
	s := r.open("")
	for branch, path := range map[string]string{
		"main": "b", "feature": "b", "davit/": "b", "davit/a..b": "b", OutcomeBranch: "b",
		"davit/a": "../b", "davit/b": ".git/config", "davit/c": "x/.GIT/y", "davit/d": "", "davit/e": "/b", "davit/f": "a\\b",
	} {
		p := Proposal{Branch: branch, Base: base, Author: davit, Message: "x", Files: []FileChange{{Path: path, Content: []byte("x")}}}
		if h, err := s.Propose(t.Context(), p); err == nil {
			t.Errorf("%s was written to %s: %s", path, branch, h)
		}
	}
	if err := s.DeleteBranch(t.Context(), "main", base); err == nil {
		t.Error("main was deleted")
	}
	if got := r.git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
		t.Error(got)
	}
}

func iris(path string) bool { return strings.HasPrefix(path, "releases/iris/") }

// offer proposes changes and merges the branch with the real git, as a person would.
func (r *repo) offer(s *Source, changes []FileChange) []string {
	r.t.Helper()
	base, err := s.Resolve(r.t.Context(), "main")
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := s.Propose(r.t.Context(), Proposal{Branch: "davit/revert", Base: base, Files: changes, Message: "revert", Author: davit}); err != nil {
		r.t.Fatal(err)
	}
	before := r.commit("meanwhile", "meanwhile", time.Now().String())
	r.git("merge", "-q", "--no-edit", "davit/revert")
	return r.lines("diff", "--name-only", "--no-renames", before, "HEAD")
}

// TestRestore: where git's own revert stops, a release goes back alone, and the branch merges clean.
func TestRestore(t *testing.T) {
	good := []string{"releases/iris/production.yaml", "v1\n", "releases/iris/gone.yaml", "x\n", "releases/llm/production.yaml", "v1\n", "shared", "1\n"}
	bad := []string{"releases/iris/production.yaml", "v2\n", "releases/iris/new/deep.yaml", "y\n", "releases/llm/production.yaml", "v2\n", "shared", "2\n"}
	for name, do := range map[string]func(r *repo) (stops bool){
		"merge": func(r *repo) bool {
			r.git("checkout", "-q", "-b", "side")
			r.git("rm", "-q", "releases/iris/gone.yaml")
			r.commit("bad", bad...)
			r.git("checkout", "-q", "main")
			r.commit("between", "between", "1")
			r.git("merge", "-q", "--no-ff", "--no-edit", "side")
			_, err := r.try("revert", "--no-edit", "HEAD")
			return err != nil
		},
		"later": func(r *repo) bool {
			r.git("rm", "-q", "releases/iris/gone.yaml")
			bad := r.commit("bad", bad...)
			r.commit("later", "releases/llm/production.yaml", "v3\n", "shared", "3\n")
			_, err := r.try("revert", "--no-edit", bad)
			r.git("revert", "--abort")
			return err != nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			was := r.commit("good", good...)
			if !do(r) {
				t.Fatal("git revert does as well")
			}
			s := r.open("")
			changes, err := s.Restore(t.Context(), tip(t, s), ParseHash(was), iris)
			if err != nil {
				t.Fatal(err)
			}
			wantPaths(t, r.offer(s, changes), []string{"releases/iris/gone.yaml", "releases/iris/new/deep.yaml", "releases/iris/production.yaml"})
			if got := r.git("diff", was, "HEAD", "--", "releases/iris"); got != "" {
				t.Error(got)
			}
			r.git("fsck", "--strict")
		})
	}
}

func TestUndo(t *testing.T) {
	r := newRepo(t)
	first := r.commit("good", "a", "1\n", "b", "1\n", "c", "1\n", "d/e", "1\n")
	r.git("checkout", "-q", "-b", "side")
	r.git("rm", "-q", "d/e")
	r.commit("bad", "a", "2\n", "b", "2\n", "c", "2\n", "new/f", "2\n")
	r.git("checkout", "-q", "main")
	r.git("merge", "-q", "--no-ff", "--no-edit", "side")
	bad := r.git("rev-parse", "HEAD")
	r.commit("later", "b", "3\n", "c", "1\n", "other", "3\n")
	s := r.open("")
	changes, conflicts, err := s.Undo(t.Context(), tip(t, s), ParseHash(bad))
	if err != nil || !slices.Equal(conflicts, []string{"b"}) {
		t.Errorf("conflicts %q, %v", conflicts, err)
	}
	wantPaths(t, r.offer(s, changes), []string{"a", "d/e", "new/f"})
	for path, want := range map[string]string{"a": "1", "b": "3", "d/e": "1", "other": "3"} {
		if got := r.git("show", "HEAD:"+path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	// A first commit has nothing before it.
	changes, conflicts, err = s.Undo(t.Context(), ParseHash(first), ParseHash(first))
	if err != nil || len(changes) != 4 || len(conflicts) > 0 || !changes[0].Delete {
		t.Errorf("%v, %q, %v", changes, conflicts, err)
	}
	h, err := s.Propose(t.Context(), Proposal{Branch: "davit/empty", Base: ParseHash(first), Files: changes, Author: davit, Message: "none"})
	if got := r.git("ls-tree", h.String()); err != nil || got != "" {
		t.Errorf("%s, %v", got, err)
	}
	r.git("fsck", "--strict")
}

// TestProposeAmended: without a key a commit is davit's by its author and committer; one that a person amended is not.
func TestProposeAmended(t *testing.T) {
	r := newRepo(t)
	p := Proposal{Branch: "davit/x", Base: ParseHash(r.commit("one", "a", "1")), Author: davit, Message: "x"}
	s := r.open("")
	for i, amended := range []bool{false, false, true} {
		p.Files = []FileChange{{Path: "a", Content: []byte{'a' + byte(i)}}}
		if amended {
			r.git("checkout", "-q", p.Branch)
			r.git("commit", "-q", "--amend", "--no-edit", "--allow-empty")
			r.git("checkout", "-q", "main")
		}
		if _, err := s.Propose(t.Context(), p); errors.Is(err, ErrForeignBranch) != amended || err != nil && !amended {
			t.Errorf("proposal %d: %v", i, err)
		}
	}
}

// TestOwn: a proposal's branch is davit's own until somebody else commits to it, and again once that is merged.
func TestOwn(t *testing.T) {
	r, _, mirror := shared(t)
	for name, s := range map[string]*Source{"local": r.open(""), "served": mirror()} {
		t.Run(name, func(t *testing.T) {
			branch := "davit/revert/" + name
			p := Proposal{Branch: branch, Base: ParseHash(r.git("rev-parse", "main")), Message: "revert", Author: Davit(), Files: []FileChange{{Path: "of-" + name, Content: []byte("x")}}}
			if _, err := s.Propose(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			own := func(want bool) {
				t.Helper()
				got, err := s.Own(t.Context(), ParseHash(r.git("rev-parse", branch)), Davit())
				if err != nil || got != want {
					t.Errorf("%v %v, want %v", got, err, want)
				}
			}
			own(true)
			r.git("checkout", "-q", branch)
			r.git("commit", "-q", "--allow-empty", "-m", "a person's")
			own(false)
			r.git("checkout", "-q", "main")
			r.git("merge", "-q", "--no-ff", "-m", "merged", branch)
			own(true)
		})
	}
}
