package reconciler_test

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestPromoteRevertHold tells the main story: promotion, revert, a version that can't be built is held while
// another release in the same commit goes on, and a restart in sync does nothing.
func TestPromoteRevertHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	first := w.until(production, "v1", v1alpha1.Healthy)

	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote iris v2 to production")
	second := w.until(production, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Applied.Image == first.Image || got.Healthy.Version != "v2" || got.Applied.Commit != w.git("rev-parse", "HEAD") {
		t.Errorf("after promotion: %+v", got)
	}
	if got := w.status("staging"); got.Applied.Version != "v1" {
		t.Errorf("staging moved: %+v", got.Applied)
	}

	w.git("revert", "--no-edit", "HEAD")
	back := w.until(production, "v1", v1alpha1.Healthy)
	if got := w.status("production"); got.Applied.Version != "v1" || got.Applied.Image == second.Image || back.Uploaded != 0 {
		t.Errorf("after revert: %+v, %d bytes uploaded", got.Applied, back.Uploaded)
	}

	w.damage("v3")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("promote a version with the wrong sha256")
	w.until(staging, "v2", v1alpha1.Healthy)
	status := w.drain("production", "held", func(s v1alpha1.ModelReleaseStatus) bool { return s.Held != nil })
	if status.Held.Version != "v3" || status.Applied.Version != "v1" || !strings.Contains(status.Held.Reason, "models/iris/versions/v3.yaml") {
		t.Errorf("after a version that can't be built: %+v", status)
	}

	w.git("revert", "--no-edit", "HEAD")
	w.until(staging, "v1", v1alpha1.Healthy)
	w.drain("production", "free of its hold", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Held == nil && s.Phase == v1alpha1.Healthy
	})
	stop()
	for len(w.reports) > 0 {
		<-w.reports
	}
	before := w.status("production")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.reports) > 0 {
		t.Errorf("a restart in sync changed something: %+v", <-w.reports)
	}
	if after := w.status("production"); after.Applied != before.Applied {
		t.Errorf("applied %+v, was %+v", after.Applied, before.Applied)
	}
}

// TestBrokenFileKeepsItsReleaseOnly: a fault costs the release it is in, which stays as it is.
func TestBrokenFileKeepsItsReleaseOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	before := w.status("production")
	w.edit("releases/iris/production.yaml", "version: v1", "verison: v2")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("a slip of the pen")
	w.until(staging, "v2", v1alpha1.Healthy)
	if after := w.status("production"); after.Applied != before.Applied || after.Phase != v1alpha1.Healthy {
		t.Errorf("production was touched: %+v", after)
	}
}

// TestRemoteRepository follows a repository over http.
func TestRemoteRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	w.follow(func(c *reconciler.Config) {
		c.Source, err = gitops.Open(t.Context(), gitops.Config{URL: server.URL + "/.git", Mirror: t.TempDir(), Interval: 100 * time.Millisecond})
		if err != nil {
			t.Error(err)
		}
	})
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
}

// TestComponentReverted: a revert that removes a Component is a new revision, not a rewritten branch.
func TestComponentReverted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	first := w.until(production, "v1", v1alpha1.Healthy)
	component := `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/spec/priorityClassName", "value": "system-cluster-critical"}]'
`
	if err := os.WriteFile(filepath.Join(w.dir, "environments/production/kustomization.yaml"), []byte(component), 0o644); err != nil {
		t.Fatal(err)
	}
	w.commit("a component for production")
	if r := w.until(production, "v1", v1alpha1.Healthy); r.Commit == first.Commit {
		t.Errorf("the component's commit is not told: %+v", r)
	}
	w.git("revert", "--no-edit", "HEAD")
	if r := w.until(production, "v1", v1alpha1.Healthy); r.Commit != w.git("rev-parse", "HEAD") {
		t.Errorf("healthy at %s, which is not the revert", r.Commit)
	}
}
