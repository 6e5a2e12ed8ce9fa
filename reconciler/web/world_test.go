package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry/image"
)

// world is a page over a live registry: a real git repository, followed into a real API server with simulated nodes.
type world struct {
	t    *testing.T
	dir  string
	url  string // of the page
	page *web.Page
	data *fleet.Fleet
	loop *reconciler.Reconciler
	log  logged
	// notes says that outcomes go to Git.
	notes bool

	prometheus *monitor.Prometheus // of the loop; nil for none
}

// logged is what davit said, safe for concurrent use.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// name is what the registry is called.
const name = "models"

// dev is the package's one cluster, started by the first test that needs it.
var dev struct {
	sync.Once
	*devcluster.Cluster
	err error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// cleanups are done after all tests, the last first.
var cleanups []func()

func run(m *testing.M) (code int) {
	defer func() {
		for _, f := range slices.Backward(cleanups) {
			f()
		}
		if dev.Cluster == nil {
			return
		}
		if err := dev.Stop(); err != nil {
			tell(err.Error())
		}
		told.Range(func(what, _ any) bool {
			fmt.Fprintln(os.Stderr, what)
			code = 1
			return true
		})
	}()
	return m.Run()
}

// told is what went wrong when no test was there any more to fail.
var told sync.Map

func tell(what string) { told.Store(what, true) }

// heard is a page whose every answer is searched for what tests planted.
func heard(page http.Handler) http.Handler {
	return planted.Answers(page, func(r *http.Request, word string) { tell(r.Method + " " + r.URL.Path + " answers " + word) })
}

// hostile is a commit's subject that would do harm where it is taken for HTML.
const hostile = `<script>document.title="taken"</script><img src=x onerror=alert(1)>`

// theWorld is one world for all tests that only look.
var theWorld struct {
	sync.Once
	*world
}

// look is the world, with all in it settled: iris is healthy in both environments, on GPUs, large waits for more
// of them than a node has, a run of a training has ended, and another training waits for its schedule.
func look(t *testing.T) *world {
	t.Helper()
	theWorld.Do(func() { theWorld.world = newWorld(t) })
	if theWorld.world == nil {
		t.Fatal("there is no world: the first test that needed it could not make it")
	}
	return theWorld.world
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.begin(w.files, "web", web.Config{})
	w.until("all is settled", func() bool {
		all := w.data.Trainings(t.Context(), fleet.Viewer{}, name, fleet.TrainingQuery{Training: "iris/softmax"})
		ended := all != nil && len(all.Trainings) == 1 && len(all.Trainings[0].Runs) == 1 && all.Trainings[0].Runs[0].Stands != fleet.Moving
		healthy := w.data.Releases(fleet.Viewer{}, name, fleet.Query{State: string(fleet.Well)})
		gpus := w.data.GPUs(t.Context(), fleet.Viewer{}, name)
		return ended && len(gpus.Waits) == 1 && healthy != nil && healthy.Found == 1 && healthy.States[0].Count == 0 && healthy.States[5].Count == 2
	})
	return w
}

// up starts the cluster, if it is not there yet.
func up(t *testing.T) *rest.Config {
	t.Helper()
	dev.Do(func() {
		dev.Cluster, dev.err = devcluster.Start(context.Background(), devcluster.Config{
			Nodes: 2, GPUs: 8, Registry: true, Stages: []string{"../testdata/crash-v3.yaml"}, Controllers: []string{"jobset", "gateway"}, Log: os.Stderr,
		})
	})
	if dev.err != nil {
		t.Fatal(dev.err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// begin has a registry of some files followed by an owner's name, and shown by a page, until all tests have ended.
func (w *world) begin(files func(), owner string, config web.Config) {
	t := w.t
	t.Helper()
	kubeconfig := up(t)
	dir, err := os.MkdirTemp("", "davit-web-")
	if err != nil {
		t.Fatal(err)
	}
	w.dir = dir
	files()
	ctx, cancel := context.WithCancel(context.Background()) // it outlives the test that made it
	target, err := cluster.New(ctx, cluster.Config{REST: withLogs(t, kubeconfig), Owner: owner})
	if err == nil {
		_, err = target.Install(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	source, err := gitops.Open(ctx, gitops.Config{URL: dir})
	if err != nil {
		t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log, davit := slog.New(slog.NewTextHandler(&w.log, nil)), gitops.Author{Name: "davit", Email: "davit@example.com"}
	loop := reconciler.Config{Log: log, Source: source, Cluster: target, Images: images, Owner: owner, Name: "here", Committer: &davit,
		Prometheus: w.prometheus, MetricsInterval: 2 * time.Second,
	}
	if w.notes {
		loop.Notes = source.NewNotes(davit, log)
	}
	r, err := reconciler.New(loop)
	if err != nil {
		t.Fatal(err)
	}
	w.data, w.loop = fleet.New(fleet.Config{}), r
	config.Fleet = w.data
	if w.page, err = web.New(config); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	end := w.data.Follow(ctx, name, r)
	server := httptest.NewServer(heard(w.page))
	w.url = server.URL
	cleanups = append(cleanups, func() {
		server.CloseClientConnections()
		server.Close()
		end()
		cancel()
		<-done
		if err := planted.Git(dir); err != nil {
			tell(err.Error())
		}
		_ = os.RemoveAll(dir)
	})
}

// until waits for something to be so.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			releases, _ := json.Marshal(w.data.Releases(fleet.Viewer{}, name, fleet.Query{}))
			trainings, _ := json.Marshal(w.data.Trainings(w.t.Context(), fleet.Viewer{}, name, fleet.TrainingQuery{}))
			w.t.Fatalf("it did not come to be that %s: %s\n%s\n%s", what, releases, trainings, w.log.String())
		}
	}
}

// iris is the example's registry, with images and namespaces under a name.
func (w *world) iris(under string) {
	w.t.Helper()
	if err := os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		w.t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000/models", dev.Registry+"/"+under)
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 100ms")
		w.edit("environments/"+env+"/environment.yaml", "namespace: "+env, "namespace: "+under+"-"+env)
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
}

// files are a registry of one model on GPUs, with a training.
func (w *world) files() {
	w.t.Helper()
	w.iris("web")
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 100ms", "bake: 100ms\n  publisher: {image: registry.example.com/davit@sha256:"+strings.Repeat("1", 64)+"}")
	}
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  quota: {gpus: 4}")
	w.edit("releases/iris/serving.yaml", "  resources:", "  accelerator: gpu\n  gpus: 1\n  resources:")
	w.write("releases/large/serving.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Serving\nspec:\n  model: iris\n  runtime: iris-server\n  replicas: 1\n"+
		"  args: {model-name: iris}\n  accelerator: gpu\n  gpus: 9\n") // no node has as many
	w.write("releases/large/staging.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n  version: v1\n")
	w.write("models/iris/training/yearly.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec:\n  environment: staging\n"+
		"  image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"\n  schedule: {cron: '0 0 1 1 *', timezone: Europe/Rome}\n"+
		"  datasets: [{name: flowers, uri: 'https://data.example.com/flowers.csv'}]\n")
	w.write("models/iris/training/softmax.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec:\n  environment: staging\n"+
		"  image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"\n  accelerator: gpu\n  gpus: 2\n"+
		"  hyperparameters: {epochs: 5, note: '<b onclick=alert(1)>bold</b>'}\n  env: {TOKEN: {secret: hub, key: token}, PASSWORD: open-sesame}\n"+
		"  datasets: [{name: flowers, uri: 'https://data.example.com/flowers.csv', sha256: "+strings.Repeat("ab", 32)+"}]\n")
	w.git("init", "-q", "-b", "main")
	w.git("add", "-A")
	w.git("commit", "-q", "-m", hostile)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) edit(name, from, to string) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		w.t.Fatalf("%s does not contain %q", name, from)
	}
	w.write(name, strings.ReplaceAll(string(data), from, to))
}

func (w *world) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada <b>", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// run is the name of the one run.
func (w *world) run(t *testing.T) string {
	t.Helper()
	all := w.data.Trainings(t.Context(), fleet.Viewer{}, name, fleet.TrainingQuery{Training: "iris/softmax"})
	if all == nil || len(all.Trainings) != 1 || len(all.Trainings[0].Runs) != 1 {
		t.Fatalf("not one run: %+v", all)
	}
	return all.Trainings[0].Runs[0].Run.Run
}

// written is what the containers of simulated pods wrote, which run nothing: each line with its time, as the API has it.
var written = []string{
	"2026-11-27T03:00:00.1Z loading \x1b[32mflowers\x1b[0m",
	"2026-11-27T03:00:00.2Z davit: progress 1/2 loss=0.31",
	"2026-11-27T03:00:00.3Z <img src=x onerror=alert(1)>",
	"2026-11-27T03:00:00.4Z " + strings.Repeat("x", 5000),
}

// held has the logs not end before it is closed.
var held atomic.Pointer[chan struct{}]

// withLogs leads to the API server by way of one that answers for the kubelets of simulated nodes, which there are none of.
func withLogs(t *testing.T, config *rest.Config) *rest.Config {
	t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport, proxy.FlushInterval = transport, -1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/log") && r.URL.Query().Get("container") == "trainer" {
			fmt.Fprintln(w, strings.Join(written, "\n"))
			if c := held.Load(); c != nil { // it goes on, and says nothing
				_ = http.NewResponseController(w).Flush()
				select {
				case <-*c:
				case <-r.Context().Done():
				}
			}
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	cleanups = append(cleanups, server.Close)
	return &rest.Config{Host: server.URL, QPS: -1}
}
