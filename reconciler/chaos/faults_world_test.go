package chaos_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/chaos"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// faultyWorld is a registry in a real git repository, served by the real git http-backend, a namespace for each environment
// in a real API server, and a real OCI registry, each behind a Proxy; and a davit that knows the proxies alone.
type faultyWorld struct {
	clone
	dev           *devcluster.Cluster
	registry      string // the OCI registry, past the proxy
	registryPID   int    // where it is the world's own
	names         *faultyNames
	ahead         atomic.Int64 // of the clock that davit goes by, a time.Duration
	behind        atomic.Value // why the newest commit is not followed, as text
	id            string
	api, git, oci *chaos.Proxy
	private       string // of the key, in PEM
	keys          string // whose signatures images need, in PEM
	key           *image.Key
	client        kubernetes.Interface // past the proxy, as is cluster
	cluster       *cluster.Cluster
	log           *os.File
	stop          func()
	moved         string // the commit that the last promotion became
	next          int    // the number of the next version
	known         map[string]*registry.ModelVersion
}

var faultyWorlds atomic.Int32

// newFaultyWorld makes what davit finds when it comes: iris at v1 in two environments, and production/held beside it.
func newFaultyWorld(t *testing.T, dev *devcluster.Cluster, names *faultyNames, edits ...func(*faultyWorld)) *faultyWorld {
	t.Helper()
	w := &faultyWorld{clone: clone{t, filepath.Join(t.TempDir(), "models")}, dev: dev, registry: dev.Registry, names: names, id: fmt.Sprint("faults-", faultyWorlds.Add(1)), known: map[string]*registry.ModelVersion{}}
	w.key, w.private, w.keys = faultyKey(t)
	for _, edit := range edits {
		edit(w)
	}
	w.proxies()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	w.client = kubernetes.NewForConfigOrDie(config)
	if w.cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: w.id}); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000", w.oci.Host()+"/"+w.id)
	for _, env := range []string{"staging", "production"} {
		file := "environments/" + env + "/environment.yaml"
		w.edit(file, "namespace: "+env, "namespace: "+w.namespace(env))
		w.edit(file, "bake: 5s\n", "bake: 100ms\n  images:\n    provenance: true\n    keys:\n      - |\n        "+strings.ReplaceAll(strings.TrimSpace(w.keys), "\n", "\n        ")+"\n")
	}
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  publisher: {image: registry.example.com/davit@sha256:"+strings.Repeat("1", 64)+"}\n")
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	w.write("releases/held/serving.yaml", w.text("releases/iris/serving.yaml"))
	w.write("releases/held/production.yaml", w.text("releases/iris/production.yaml"))
	w.run("git", "init", "-q", "-b", "main")
	w.run("git", "config", "http.receivepack", "true")
	w.run("git", "config", "gc.auto", "0")
	w.commit("iris at v1")
	w.versions()
	if w.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.tell)
	return w
}

// in has what is wrong told of another test.
func (w *faultyWorld) in(t *testing.T) { w.t = t }

// proxies stands one before each server.
func (w *faultyWorld) proxies() {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.api, err = chaos.New(config.Host, transport); err != nil {
		w.t.Fatal(err)
	}
	if w.oci, err = chaos.New("http://"+w.registry, nil); err != nil {
		w.t.Fatal(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git = chaos.Serve(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Stderr: faultyNowhere{},
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(w.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}, false)
	for _, p := range []*chaos.Proxy{w.api, w.git, w.oci} {
		w.t.Cleanup(p.Close)
	}
}

type faultyNowhere struct{}

func (faultyNowhere) Write(data []byte) (int, error) { return len(data), nil }

// tell shows the end of davit's log when the test fails.
func (w *faultyWorld) tell() {
	if !w.t.Failed() {
		return
	}
	data, err := os.ReadFile(w.log.Name())
	if err != nil {
		w.t.Error(err)
	}
	w.t.Logf("davit's log ends\n%s", data[max(0, len(data)-8000):])
}

// runs has a davit run, as davit sync does, until stop or the test's end.
func (w *faultyWorld) runs(edits ...func(*reconciler.Config)) {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w.log, nil))
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.gitURL(), Mirror: w.t.TempDir(), Interval: 300 * time.Millisecond, Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{Key: w.key})
	if err != nil {
		w.t.Fatal(err)
	}
	behind, err := cluster.New(w.t.Context(), cluster.Config{REST: w.rest(), Owner: w.id, Holder: "davit", Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := reconciler.Config{
		Source: source, Cluster: behind, Images: images, Owner: w.id, Name: "davit", Notes: source.NewNotes(gitops.Davit(), log), Log: log,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
		Followed: func(_ gitops.Hash, err error) {
			text := ""
			if err != nil {
				text = err.Error()
			}
			w.behind.Store(text)
		},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	r, err := reconciler.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	w.stop = func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		source.Close()
		w.stop = func() {}
	}
	w.t.Cleanup(func() { w.stop() })
}

func (w *faultyWorld) gitName() string { return w.id + ".chaos.test" }

// gitURL is the repository's, by name.
func (w *faultyWorld) gitURL() string {
	_, port, err := net.SplitHostPort(w.git.Host())
	if err != nil {
		w.t.Fatal(err)
	}
	return "http://" + net.JoinHostPort(w.gitName(), port) + "/models/.git"
}

// rest reaches the API server by its proxy.
func (w *faultyWorld) rest() *rest.Config {
	config, err := clientcmd.BuildConfigFromFlags("", w.dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	config.Host, config.CAData, config.CAFile = w.api.URL, w.api.CA, ""
	return config
}

func (w *faultyWorld) namespace(env string) string { return w.id + "-" + env }

// until polls until nothing is missing; it gives how long that took.
func (w *faultyWorld) until(missing func() string) time.Duration {
	w.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		why := missing()
		took := time.Since(began)
		if why == "" {
			return took
		}
		if took > 3*time.Minute {
			w.t.Fatal(why)
		}
	}
}
