package reconciler_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// world is a registry in a real git repository, followed into a real API server with simulated nodes.
type world struct {
	t       *testing.T
	id      string // of this run of the test: the owner, and the beginning of its namespaces
	dir     string
	branch  string // that is followed; HEAD's when empty
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
	deadline := time.After(120 * time.Second)
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

func (w *world) namespace(env string) string { return w.id + "-" + env }

func (w *world) status(env string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	return w.release(env).Status
}

func (w *world) release(env string) *v1alpha1.ModelRelease {
	w.t.Helper()
	mr, err := w.cluster.Release(w.t.Context(), w.namespace(env), env, "iris")
	if err != nil || mr == nil {
		w.t.Fatalf("ModelRelease of %s/iris: %v %v", env, mr, err)
	}
	return mr
}

// dev is the one cluster of this package's tests.
var dev *devcluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	var err error
	dev, err = devcluster.Start(context.Background(), devcluster.Config{
		Nodes: 1, Registry: true, Stages: []string{"testdata/crash-v3.yaml"}, APIs: []string{"gatewayAPI"}, Controllers: []string{"jobset", "kueue"}, Log: os.Stderr,
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

// worlds counts, so that a test can be run again in the same cluster.
var worlds atomic.Int32

// newWorld makes a repository of its own; its environments' namespaces and its owner bear the test's name.
func newWorld(t *testing.T) *world {
	t.Helper()
	id := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-") + "-" + strconv.Itoa(int(worlds.Add(1)))
	w := &world{t: t, id: id, dir: t.TempDir(), reports: make(chan reconciler.Report, 1000)}
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
	t.Cleanup(func() {
		if err := planted.Git(w.dir); err != nil {
			t.Error(err)
		}
	})
	w.commit("iris at v1")
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if w.cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cluster.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// reconciler makes one as davit sync does.
func (w *world) reconciler(edits ...func(*reconciler.Config)) *reconciler.Reconciler {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir, Branch: w.branch})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := reconciler.Config{
		Source: source, Cluster: w.cluster, Images: images, Owner: w.id,
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

// runs has a reconciler run until the test ends.
func (w *world) runs(edits ...func(*reconciler.Config)) *reconciler.Reconciler {
	r := w.reconciler(edits...)
	w.running(r)
	return r
}

// follow runs a reconciler until the returned function is called.
func (w *world) follow(edits ...func(*reconciler.Config)) (stop func()) {
	return w.running(w.reconciler(edits...))
}

func (w *world) running(r *reconciler.Reconciler) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
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

// add adds releases of the same model, each in production only.
func (w *world) add(names ...string) {
	w.t.Helper()
	for _, name := range names {
		for _, file := range []string{"serving.yaml", "production.yaml"} {
			w.write("releases/"+name+"/"+file, w.text("releases/iris/"+file))
		}
	}
}

func (w *world) text(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// admin is one client for all tests, without a limit: what waits asks it again and again, and to make a client each time
// took more than the question.
var admin = sync.OnceValues(func() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return kubernetes.NewForConfig(config)
})

// kubectl is another client of the same API server.
func (w *world) kubectl() kubernetes.Interface {
	w.t.Helper()
	client, err := admin()
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// scale changes the replicas of a production Deployment as a person would.
func (w *world) scale(name string, replicas int) {
	w.t.Helper()
	_, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Patch(w.t.Context(), name, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deployment(name string) *appsv1.Deployment {
	w.t.Helper()
	d, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// eventually polls until ok.
func (w *world) eventually(what string, ok func() bool) time.Duration {
	w.t.Helper()
	for began := time.Now(); ; time.Sleep(30 * time.Millisecond) { // each time it asks the API server, beside other tests
		if ok() {
			return time.Since(began)
		}
		if time.Since(began) > 90*time.Second {
			w.t.Fatalf("not %s", what)
		}
	}
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

// drain waits until there is a release and its status is as wanted.
func (w *world) drain(env, what string, ok func(v1alpha1.ModelReleaseStatus) bool) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		mr, err := w.cluster.Release(w.t.Context(), w.namespace(env), env, "iris")
		if err != nil {
			w.t.Fatal(err)
		}
		var status v1alpha1.ModelReleaseStatus
		if mr != nil {
			status = mr.Status
		}
		if mr != nil && ok(status) {
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

const production, staging = "production/iris", "staging/iris"

var (
	get       = metav1.GetOptions{}
	deleteNow = metav1.DeleteOptions{}
)

// event says whether an Event of that reason names something.
func (w *world) event(reason, text string) bool {
	w.t.Helper()
	list, err := w.kubectl().EventsV1().Events(w.namespace("production")).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason == reason && strings.Contains(e.Note, text) })
}

// any waits for the next report of one of some phases.
func (w *world) any(phases ...v1alpha1.Phase) reconciler.Report {
	w.t.Helper()
	deadline := time.After(120 * time.Second)
	for {
		select {
		case r := <-w.reports:
			if slices.Contains(phases, r.Phase) {
				return r
			}
		case <-deadline:
			w.t.Fatalf("no report of %v", phases)
		}
	}
}

// all waits until production releases are healthy, in whatever order.
func (w *world) all(names ...string) {
	w.t.Helper()
	for left := slices.Clone(names); len(left) > 0; {
		r := w.any(v1alpha1.Healthy)
		left = slices.DeleteFunc(left, func(name string) bool { return r.Key.String() == "production/"+name })
	}
}

// of is the status of a production release.
func (w *world) of(name string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	mr, err := w.cluster.Release(w.t.Context(), w.namespace("production"), "production", name)
	if err != nil || mr == nil {
		w.t.Fatalf("ModelRelease of production/%s: %v %v", name, mr, err)
	}
	return mr.Status
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.RemoveAll(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
}
