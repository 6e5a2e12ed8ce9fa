package reconciler_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestCrashRollsBack promotes a version whose pods crash: the release goes back to its last healthy revision
// with the digest of before, stays there through other commits, and takes the next change of its own files.
func TestCrashRollsBack(t *testing.T) {
	w := newWorld(t)
	stop := w.follow()
	first := w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	bad := w.git("rev-parse", "HEAD")
	failed := w.until(production, "v3", v1alpha1.Failed)
	if !strings.Contains(failed.Message, "exited with code 1") {
		t.Errorf("the reason does not say what happened: %q", failed.Message)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
	got := w.status("production")
	if got.Held == nil || got.Held.Commit != bad || got.Applied.Image != first.Image || got.Applied.Commit != first.Commit {
		t.Errorf("after the rollback: %+v", got)
	}
	if len(got.Outcomes) < 3 || got.Outcomes[0].Outcome != v1alpha1.RolledBack || got.Outcomes[1].Outcome != v1alpha1.Failed {
		t.Errorf("outcomes: %+v", got.Outcomes)
	}

	// A restart and another release's promotion leave the hold as it is.
	stop()
	w.follow()
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("promote v2 to staging")
	w.until(staging, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Held == nil || got.Applied.Version != "v1" || got.Phase != v1alpha1.RolledBack {
		t.Errorf("the hold did not last: %+v", got)
	}
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("promote v2 to production")
	w.until(production, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Held != nil || got.Applied.Version != "v2" {
		t.Errorf("after the next promotion: %+v", got)
	}
}

// TestFirstRevisionThatFailsStays has nothing to go back to.
func TestFirstRevisionThatFailsStays(t *testing.T) {
	w := newWorld(t)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("start with the damaged v3")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Failed || got.Held == nil || got.Healthy.Commit != "" {
		t.Errorf("status %+v", got)
	}
	if got := w.status("staging"); got.Phase != v1alpha1.Healthy {
		t.Errorf("staging was held up: %+v", got)
	}
}

// TestBrokenTipDuringRollout: a slip of the pen on top of a crashing version does not keep it from going back.
func TestBrokenTipDuringRollout(t *testing.T) {
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.follow()
	w.until(production, "v3", v1alpha1.Progressing)
	w.edit("releases/iris/production.yaml", "version: v3", "verison: v3")
	w.commit("a slip of the pen")
	w.until(production, "v1", v1alpha1.RolledBack)
}
