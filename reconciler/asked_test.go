package reconciler_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

var ada = reconciler.Asker{Name: "ada@example.com\nDavit-Release: staging/other", Email: "ada@example.com"}

// TestAskedForPromotion: what a person asks for on the web page is a branch with the one line, under davit's name and with
// theirs; no word of theirs is a trailer. Asked for again it is the same branch, and one with a person's own commits is theirs.
// The promotions that rules make leave it alone.
func TestAskedForPromotion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("v2 in staging")
	r := w.runs(proposing)
	w.all("iris")
	ctx, key, staging := t.Context(), registry.Key{Environment: "production", Name: "iris"}, registry.Key{Environment: "staging", Name: "iris"}
	where, err := r.Promote(ctx, ada, staging, key, "better\n\nDavit-Promotes: iris@v9")
	if err != nil || where != "davit/asked/production/iris" {
		t.Fatalf("proposed at %q: %v", where, err)
	}
	if diff := w.git("diff", "main", where, "--", "."); !strings.Contains(diff, "-  version: v1") || !strings.Contains(diff, "+  version: v2") || strings.Count(diff, "\n+") != 2 {
		t.Errorf("the branch changes\n%s", diff)
	}
	for trailer, want := range map[string]string{
		"Davit-Promotes": "iris@v2", "Davit-Release": "production/iris", "Davit-Asked-By": "ada@example.com Davit-Release: staging/other",
		"Co-authored-by": "ada@example.com Davit-Release: staging/other <ada@example.com>",
	} {
		if got := w.git("log", "-1", "--format=%(trailers:key="+trailer+",valueonly)", where); got != want {
			t.Errorf("trailer %s is %q, want %q", trailer, got, want)
		}
	}
	if _, err := r.Promote(ctx, ada, staging, key, "once more"); err != nil {
		t.Errorf("asked for again: %v", err)
	}
	w.git("switch", "-q", where)
	w.write("releases/iris/NOTES.md", "mine")
	w.commit("a person's own")
	w.git("switch", "-q", "main")
	if _, err := r.Promote(ctx, ada, staging, key, "and again"); err == nil || !strings.Contains(err.Error(), "has commits of a person") {
		t.Errorf("over a person's commits: %v", err)
	}
	if _, err := r.Promote(ctx, ada, key, staging, ""); err != nil {
		t.Errorf("the other way: %v", err)
	}
	if _, err := r.Promote(ctx, ada, staging, registry.Key{Environment: "moon", Name: "iris"}, ""); err == nil || !strings.Contains(err.Error(), `no environment "moon"`) {
		t.Errorf("to nowhere: %v", err)
	}
}

// TestAskedForWayBack: a release goes back by a branch that changes the version alone, and what serves goes on until it is
// merged.
func TestAskedForWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runs(proposing)
	w.all("iris")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2 in production")
	w.until(production, "v2", v1alpha1.Healthy)
	key := registry.Key{Environment: "production", Name: "iris"}
	where, err := r.GoBack(t.Context(), ada, key, "v1", "calls every flower setosa")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.git("log", "-1", "--format=%s%n%b", where); !strings.HasPrefix(got, "Roll production/iris back to v1\ncalls every flower setosa\n") {
		t.Errorf("the commit says\n%s", got)
	}
	if got := w.of("iris").Applied.Version; got != "v2" {
		t.Errorf("%s serves before the branch is merged", got)
	}
	w.git("merge", "-q", "--no-ff", "-m", "back", where)
	w.until(production, "v1", v1alpha1.Healthy)
	for version, want := range map[string]string{"v1": "asks for v1 already", "v9": `no version "v9" (have v1, v2, v3)`} {
		if _, err := r.GoBack(t.Context(), ada, key, version, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("back to %s: %v", version, err)
		}
	}
}

// TestAskedForSuspension: a suspension bears the name of who asked for it, holds back what the branch asks for, and ends by
// Resume. Without a committer nothing is proposed.
func TestAskedForSuspension(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runs()
	w.all("iris")
	key := registry.Key{Environment: "production", Name: "iris"}
	if err := r.Suspend(t.Context(), ada, key, time.Hour, "a demo"); err != nil {
		t.Fatal(err)
	}
	s := w.release("production").Spec.Suspend
	if s == nil || !strings.HasPrefix(s.By, "ada@example.com") || s.Reason != "a demo" || s.Until == nil || time.Until(s.Until.Time) > time.Hour {
		t.Fatalf("suspended by %+v", s)
	}
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.until("staging/iris", "v2", v1alpha1.Healthy)
	if got := w.of("iris").Applied.Version; got != "v1" {
		t.Errorf("%s was applied though it is suspended", got)
	}
	if err := r.Resume(t.Context(), ada, key); err != nil {
		t.Fatal(err)
	}
	w.until(production, "v2", v1alpha1.Healthy)
	if _, err := r.Promote(t.Context(), ada, registry.Key{Environment: "staging", Name: "iris"}, key, ""); !errors.Is(err, reconciler.ErrReadOnly) {
		t.Errorf("proposed without a committer: %v", err)
	}
	if err := r.Suspend(t.Context(), ada, registry.Key{Environment: "production", Name: "nothing"}, 0, ""); err == nil {
		t.Error("what is not there was suspended")
	}
}
