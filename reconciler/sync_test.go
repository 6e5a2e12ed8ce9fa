package reconciler_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// world is a registry in a real git repository, followed into a real API server with simulated nodes.
type world struct {
	t       *testing.T
	dir     string
	cluster *cluster.Cluster
	reports chan reconciler.Report
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// edit replaces text in a file.
func (w *world) edit(name, from, to string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	data, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		w.t.Fatalf("%s does not contain %q", name, from)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(data), from, to)), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) commit(message string) {
	w.git("add", "-A")
	w.git("commit", "-q", "-m", message)
}

// until waits for a release to report a phase at a version.
func (w *world) until(release, version string, phase v1alpha1.Phase) reconciler.Report {
	w.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case r := <-w.reports:
			if r.Key.String() == release && r.Version == version && r.Phase == phase {
				return r
			}
		case <-deadline:
			w.t.Fatalf("%s did not get %s at %s", release, phase, version)
		}
	}
}

func (w *world) status(env string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	mr, err := w.cluster.Release(w.t.Context(), env, env, "iris")
	if err != nil || mr == nil {
		w.t.Fatalf("ModelRelease of %s/iris: %v %v", env, mr, err)
	}
	return mr.Status
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 1, Registry: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, dir: t.TempDir(), reports: make(chan reconciler.Report, 1000)}
	if err := os.CopyFS(w.dir, os.DirFS("../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000", dev.Registry)
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 100ms")
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	w.git("init", "-q", "-b", "main")
	w.commit("iris at v1")
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if w.cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// reconciler makes one as davit sync does.
func (w *world) reconciler() *reconciler.Reconciler {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := reconciler.New(reconciler.Config{
		Source: source, Cluster: w.cluster, Images: images, Owner: "test",
		Report: func(p reconciler.Report) { w.reports <- p },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// follow runs a reconciler until the returned function is called.
func (w *world) follow() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- w.reconciler().Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

const production, staging = "production/iris", "staging/iris"

// TestPromoteRevertHold tells the main story: promotion, revert, a version that can't be built is held while
// another release in the same commit goes on, and a restart in sync does nothing.
func TestPromoteRevertHold(t *testing.T) {
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

	w.edit("models/iris/versions/v3.yaml", "sha256: ", "sha256: 00")
	data, err := os.ReadFile(filepath.Join(w.dir, "models/iris/versions/v3.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, sum, _ := strings.Cut(string(data), "sha256: 00")
	w.edit("models/iris/versions/v3.yaml", "00"+sum[:64], "00"+sum[:62])
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("promote a version with the wrong sha256")
	w.until(staging, "v2", v1alpha1.Healthy)
	status := w.status("production")
	for deadline := time.Now().Add(30 * time.Second); status.Held == nil && time.Now().Before(deadline); status = w.status("production") {
		select {
		case <-w.reports:
		case <-time.After(100 * time.Millisecond):
		}
	}
	if status.Held == nil || status.Held.Version != "v3" || status.Applied.Version != "v1" || !strings.Contains(status.Held.Reason, "models/iris/versions/v3.yaml") {
		t.Errorf("after a version that can't be built: %+v", status)
	}

	w.git("revert", "--no-edit", "HEAD")
	w.until(staging, "v1", v1alpha1.Healthy)
	for deadline := time.Now().Add(30 * time.Second); w.status("production").Held != nil && time.Now().Before(deadline); {
		<-w.reports
	}
	if got := w.status("production"); got.Held != nil || got.Phase != v1alpha1.Healthy {
		t.Errorf("the hold did not end: %+v", got)
	}
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
