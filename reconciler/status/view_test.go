package status

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// appliedAt is production/iris as it is applied of what a view's tip has.
func appliedAt(t *testing.T, v *View) *v1alpha1.ModelRelease {
	t.Helper()
	mr := modelRelease(v1alpha1.Healthy, "Healthy", "")
	models, err := v.Models()
	if err != nil {
		t.Fatal(err)
	}
	input, err := inputs(v.cfg.Tip, models.Release(registry.Key{Environment: "production", Name: "iris"}))
	if err != nil {
		t.Fatal(err)
	}
	mr.Status.Applied.InputKey, mr.Status.Applied.Commit = input, v.cfg.Tip.Hash().String()
	mr.Status.Healthy = mr.Status.Applied
	return mr
}

// TestAsks: what the branch asks for, and the commit that did, whatever came after it.
func TestAsks(t *testing.T) {
	r := newRepo(t)
	r.commit("a registry", iris())
	mr := appliedAt(t, r.view(Config{}))
	ask := func(want Asked, text string) {
		t.Helper()
		v := r.view(Config{})
		models, err := v.Models()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*View{v, v, r.view(Config{Models: models})} { // what is kept, and what was read before, is the same
			got, err := v.Asks(t.Context(), mr)
			if err != nil || got == nil {
				t.Fatal(got, err)
			}
			if got.Same != want.Same || got.Gone != want.Gone || got.Held != want.Held || got.Version != want.Version ||
				!strings.HasPrefix(got.Fault, want.Fault) || got.Commit.Subject != want.Commit.Subject || got.Text() != text {
				t.Errorf("%+v %q\nwant %+v %q", got, got.Text(), want, text)
			}
		}
	}
	by := func(a Asked, subject string) Asked {
		a.Commit.Subject = subject
		return a
	}
	ask(Asked{Same: true, Version: "v1"}, "")
	commit := r.commit("iris: v2", files{"releases/iris/production.yaml": at("v2")})
	r.commit("nothing of it", files{"releases/iris/staging.yaml": at("v2"), "README.md": "a registry\n"})
	ask(by(Asked{Version: "v2"}, "iris: v2"), "asks for v2:")
	held(mr, "x").Status.Held.Commit = commit
	ask(by(Asked{Version: "v2", Held: true}, "iris: v2"), "asks for what is held.")
	r.commit("a slip", files{"releases/iris/production.yaml": at("v9")})
	ask(Asked{Fault: "releases/iris/production.yaml:5: "}, "has a fault, so the release stays as it is.")
	r.commit("away", files{"releases/iris/production.yaml": ""})
	ask(Asked{Gone: true}, "no longer has it: the release is deleted, unless the environment's guards stop that.")
}

// TestAsksAgain: an answer is kept for what was applied, and for no longer.
func TestAsksAgain(t *testing.T) {
	r := newRepo(t)
	r.commit("a registry", iris())
	mr := appliedAt(t, r.view(Config{}))
	r.commit("iris: v2", files{"releases/iris/production.yaml": at("v2")})
	v := r.view(Config{})
	if got, err := v.Asks(t.Context(), mr); err != nil || got.Same {
		t.Fatal(got, err)
	}
	mr.Status.Applied = appliedAt(t, v).Status.Applied
	if got, err := v.Asks(t.Context(), mr); err != nil || !got.Same {
		t.Errorf("after it was applied: %+v, %v", got, err)
	}
}

// TestNoRepository: without one, and in another's folder, findings go by the ModelRelease alone.
func TestNoRepository(t *testing.T) {
	other := newRepo(t)
	other.commit("something else", files{"main.c": "int main;\n"})
	for _, v := range []*View{New(Config{}), other.view(Config{})} {
		mr := held(modelRelease(v1alpha1.RolledBack, "RolledBack", ""), "x")
		if asked, err := v.Asks(t.Context(), mr); asked != nil || err != nil {
			t.Error(asked, err)
		}
		all, err := v.Findings(t.Context(), mr, nil)
		if err != nil || len(all) != 1 || all[0].Do[0] != "git revert 222222222222" {
			t.Error(all, err)
		}
		if rank, word := v.ToDo(t.Context(), mr, nil); rank != Stopped || word != "git revert 222222222222" {
			t.Error(rank, word)
		}
		if s := v.Serves(t.Context(), mr); s.Version != "v1" || s.Applied || !s.By.Hash.IsZero() {
			t.Errorf("%+v", s)
		}
	}
	if list, err := New(Config{}).Next(t.Context(), registry.Key{Environment: "staging", Name: "iris"}); list != nil || err != nil {
		t.Error(list, err)
	}
}

// TestProposal: the revert on davit's branch is what to merge, until it is.
func TestProposal(t *testing.T) {
	r := newRepo(t)
	r.commit("a registry", iris())
	mr := modelRelease(v1alpha1.RolledBack, "RolledBack", "")
	held(mr, "x").Status.Held.Commit = r.commit("iris: v2", files{"releases/iris/production.yaml": at("v2")})
	r.git("checkout", "-q", "-b", "davit/revert/production/iris")
	r.git("revert", "--no-edit", "HEAD")
	r.git("checkout", "-q", "main")
	if _, word := r.view(Config{}).ToDo(t.Context(), mr, nil); word != "git merge davit/revert/production/iris" {
		t.Error(word)
	}
	if all, err := r.view(Config{}).Findings(t.Context(), mr, nil); err != nil || all[0].Do[0] != "git merge davit/revert/production/iris" {
		t.Error(all, err)
	}
	r.git("merge", "-q", "--ff-only", "davit/revert/production/iris")
	if _, word := r.view(Config{}).ToDo(t.Context(), mr, nil); !strings.HasPrefix(word, "git revert ") {
		t.Error(word)
	}
}

// TestServes: the revision with the traffic, and what was healthy before one that never was.
func TestServes(t *testing.T) {
	r := newRepo(t)
	first := r.commit("a registry", iris())
	second := r.commit("iris: v2", files{"releases/iris/production.yaml": at("v2")})
	v := r.view(Config{})
	mr := modelRelease(v1alpha1.Progressing, "RollingOut", "")
	mr.Status.Healthy.Commit = first
	mr.Status.Applied = v1alpha1.Revision{Commit: second, Version: "v2", ObjectsHash: "b"}
	if s := v.Serves(t.Context(), mr); !s.Applied || s.Version != "v2" || s.By.Subject != "iris: v2" || s.Healthy == nil || s.Healthy.Commit != first {
		t.Errorf("in place: %+v", s)
	}
	mr.Status.Traffic = &v1alpha1.Traffic{Serving: "a", Next: "b"}
	if s := v.Serves(t.Context(), mr); s.Applied || s.Version != "v1" || s.By.Subject != "a registry" || s.Healthy != nil {
		t.Errorf("beside the one that serves: %+v", s)
	}
	mr.Status.Applied = v1alpha1.Revision{}
	if s := v.Serves(t.Context(), mr); s.Commit != "" {
		t.Errorf("nothing: %+v", s)
	}
}

// TestCommitAfterCancel: who went away in the middle leaves nothing behind for others.
func TestCommitAfterCancel(t *testing.T) {
	r := newRepo(t)
	hash := r.commit("a registry", iris())
	v := r.view(Config{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	v.Commit(gone, hash)
	if c, ok := v.Commit(t.Context(), hash); !ok || c.Subject != "a registry" {
		t.Errorf("%+v, %v", c, ok)
	}
	if _, ok := v.Commit(t.Context(), badCommit); ok {
		t.Error("it knows a commit that is not there")
	}
}

// TestConcurrently has one view asked by many at once, for the race detector.
func TestConcurrently(t *testing.T) {
	r := newRepo(t)
	r.commit("a registry", iris())
	mr := appliedAt(t, r.view(Config{}))
	commit := r.commit("iris: v2", files{"releases/iris/production.yaml": at("v2"), "releases/iris/staging.yaml": at("v2")})
	held(mr, "x").Status.Held.Commit = commit
	v := r.view(Config{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if found, err := v.Findings(t.Context(), mr, nil); err != nil || len(found) != 1 {
				t.Error(found, err)
			}
			if s := v.Serves(t.Context(), mr); s.By.Subject != "a registry" {
				t.Errorf("%+v", s)
			}
			if list, err := v.Next(t.Context(), registry.Key{Environment: "staging", Name: "iris"}); err != nil || len(list) != 0 {
				t.Error(list, err)
			}
		})
	}
	all.Wait()
}
