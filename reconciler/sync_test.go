package reconciler_test

import (
	"context"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
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

func (w *world) namespace(env string) string {
	return strings.ReplaceAll(strings.ToLower(w.t.Name()), "/", "-") + "-" + env
}

func (w *world) status(env string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	mr, err := w.cluster.Release(w.t.Context(), w.namespace(env), env, "iris")
	if err != nil || mr == nil {
		w.t.Fatalf("ModelRelease of %s/iris: %v %v", env, mr, err)
	}
	return mr.Status
}

// dev is the one cluster of this package's tests.
var dev *devcluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	var err error
	dev, err = devcluster.Start(context.Background(), devcluster.Config{
		Nodes: 1, Registry: true, Stages: []string{"testdata/crash-v3.yaml"}, Log: os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := dev.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// newWorld makes a repository of its own; its environments' namespaces and its owner bear the test's name.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), reports: make(chan reconciler.Report, 1000)}
	if err := os.CopyFS(w.dir, os.DirFS("../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000", dev.Registry)
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 100ms")
		w.edit("environments/"+env+"/environment.yaml", "namespace: "+env, "namespace: "+w.namespace(env))
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	w.git("init", "-q", "-b", "main")
	w.commit("iris at v1")
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if w.cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: t.Name()}); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// reconciler makes one as davit sync does.
func (w *world) reconciler(edits ...func(*reconciler.Config)) *reconciler.Reconciler {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := reconciler.Config{
		Source: source, Cluster: w.cluster, Images: images, Owner: w.t.Name(),
		Report: func(p reconciler.Report) { w.reports <- p },
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	r, err := reconciler.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// follow runs a reconciler until the returned function is called.
func (w *world) follow(edits ...func(*reconciler.Config)) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- w.reconciler(edits...).Run(ctx) }()
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

// damage writes a wrong sha256 into a version.
func (w *world) damage(version string) {
	w.t.Helper()
	name := "models/iris/versions/" + version + ".yaml"
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "sha256: ")
	w.edit(name, rest[:64], strings.Repeat("a", 64))
}

// drain waits until a release's status is as wanted.
func (w *world) drain(env, what string, ok func(v1alpha1.ModelReleaseStatus) bool) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		status := w.status(env)
		if ok(status) {
			return status
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s/iris: not %s: %+v", env, what, status)
		}
		select {
		case <-w.reports:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func healthy(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Healthy }

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

// TestRemoval deletes a release the registry no longer has, and nothing where a guard stops it.
func TestRemoval(t *testing.T) {
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.drain("staging", "healthy", healthy)

	w.git("rm", "-q", "-r", "releases")
	w.commit("no releases at all")
	w.git("revert", "--no-edit", "HEAD")
	w.git("rm", "-q", "releases/iris/staging.yaml")
	w.commit("staging serves iris no more")
	for {
		select {
		case r := <-w.reports:
			if r.Phase != reconciler.Removed {
				continue
			}
			if r.Key.String() != staging {
				t.Fatalf("%s was removed", r.Key)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("staging/iris was not removed")
		}
		break
	}
	if mr, err := w.cluster.Release(t.Context(), w.namespace("staging"), "staging", "iris"); err != nil || mr != nil {
		t.Errorf("the ModelRelease is still there: %v %v", mr, err)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Healthy {
		t.Errorf("production: %+v", got)
	}
}

// TestBrokenFileKeepsItsReleaseOnly: a fault costs the release it is in, which stays as it is.
func TestBrokenFileKeepsItsReleaseOnly(t *testing.T) {
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

// TestRewrittenBranch is not followed back until that is accepted.
func TestRewrittenBranch(t *testing.T) {
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.git("reset", "-q", "--hard", "HEAD~1")
	got := w.drain("production", "waiting", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Waiting })
	if got.Reason != "HistoryRewritten" || got.Applied.Version != "v2" || !strings.Contains(got.Message, "--accept-rewrite") {
		t.Errorf("status %+v", got)
	}
	stop()
	w.follow(func(c *reconciler.Config) { c.AcceptRewrite = true })
	w.until(production, "v1", v1alpha1.Healthy)
}

// TestRemoteRepository follows a repository over http.
func TestRemoteRepository(t *testing.T) {
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

// TestMoveTakenBack changes an environment's namespace and back before the release is healthy there: the one
// at home stays, the other goes.
func TestMoveTakenBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart-%t", restart), func(t *testing.T) {
			w := newWorld(t)
			stop := w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			home, file := w.namespace("production"), "environments/production/environment.yaml"
			w.edit(file, "bake: 100ms", "bake: 5s")
			w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
			w.commit("move production")
			w.until(production, "v1", v1alpha1.Progressing)
			if restart {
				stop()
				w.follow()
			}
			w.git("revert", "--no-edit", "HEAD")
			w.until(production, "v1", v1alpha1.Healthy)
			got := w.drain("production", "healthy at home", func(s v1alpha1.ModelReleaseStatus) bool {
				return s.Phase == v1alpha1.Healthy && s.Applied.Commit == w.git("rev-parse", "HEAD")
			})
			if len(got.Inventory) != 2 {
				t.Errorf("inventory %+v", got.Inventory)
			}
			w.gone(home + "-new")
		})
	}
}

// TestMove changes an environment's namespace: made there, healthy, and only then deleted here.
func TestMove(t *testing.T) {
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	home, file := w.namespace("production"), "environments/production/environment.yaml"
	w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
	w.commit("move production")
	w.until(production, "v1", v1alpha1.Healthy)
	w.gone(home)
}

// gone wants production/iris to be in a namespace no more.
func (w *world) gone(namespace string) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		mr, err := w.cluster.Release(w.t.Context(), namespace, "production", "iris")
		if err == nil && mr == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("production/iris is still in %s: %v %v", namespace, mr, err)
		}
		select {
		case <-w.reports:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestComponentReverted: a revert that removes a Component is a new revision, not a rewritten branch.
func TestComponentReverted(t *testing.T) {
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

// TestOtherOwner is refused at once, with the way out, and taken over when that is said.
func TestOtherOwner(t *testing.T) {
	w := newWorld(t)
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	as := func(takeOver bool) *reconciler.Reconciler {
		return w.reconciler(func(c *reconciler.Config) {
			c.Owner = "another"
			if c.Cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: "another", TakeOver: takeOver}); err != nil {
				t.Fatal(err)
			}
		})
	}
	other := as(false)
	if err := other.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := other.Unwell()[production]; !strings.Contains(why, t.Name()) || !strings.Contains(why, "--take-over") {
		t.Errorf("production/iris: %q", why)
	}
	taken := as(true)
	if err := taken.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if unwell := taken.Unwell(); len(unwell) > 0 || w.status("production").Owner != "another" {
		t.Errorf("after the take-over: %v %+v", unwell, w.status("production"))
	}
}
