package fleet_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/registry/image"
)

// name is what the registry is called.
const name = "models"

// dev is the one cluster of this package's tests.
var dev *devcluster.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if devcluster.Fuzzing() {
		return m.Run()
	}
	var err error
	dev, err = devcluster.Start(context.Background(), devcluster.Config{
		Nodes: 1, GPUs: 8, Registry: true, Stages: []string{"../testdata/crash-v3.yaml"}, Log: os.Stderr,
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

// world is a registry in a real git repository, followed into a real API server with simulated nodes, and the fleet of it.
type world struct {
	*fleet.Fleet
	t      *testing.T
	id     string // its namespaces begin with it
	dir    string
	client *kubernetes.Clientset
	*reconciler.Reconciler
}

// newWorld has iris at v1 in staging and production; edit changes the files before the first commit.
func newWorld(t *testing.T, edit func(*world)) *world {
	t.Helper()
	w := &world{t: t, id: strings.ToLower(t.Name()), dir: t.TempDir(), Fleet: fleet.New(fleet.Config{})}
	if err := os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000/models", dev.Registry+"/"+w.id)
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 100ms")
		w.edit("environments/"+env+"/environment.yaml", "namespace: "+env, "namespace: "+w.id+"-"+env)
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	if edit != nil {
		edit(w)
	}
	w.git("init", "-q", "-b", "main")
	w.commit("iris at v1")
	w.follow()
	return w
}

// follow runs a reconciler, and has the fleet follow it, until the test ends.
func (w *world) follow() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	config.QPS = -1
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		w.t.Fatal(err)
	}
	target, err := cluster.New(ctx, cluster.Config{REST: config, Owner: w.id})
	if err == nil {
		_, err = target.Install(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	source, err := gitops.Open(ctx, gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := reconciler.New(reconciler.Config{
		Source: source, Cluster: target, Images: images, Owner: w.id, Committer: &gitops.Author{Name: "davit", Email: "davit@example.com"},
		CommitURL: func(commit string) string { return "https://git.example.com/models/commit/" + commit },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Reconciler = r
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	end := w.Follow(ctx, name, r)
	w.t.Cleanup(func() {
		end()
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			w.t.Error(err)
		}
		if err := planted.Git(w.dir); err != nil {
			w.t.Error(err)
		}
	})
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

// commit commits all of it and returns the commit.
func (w *world) commit(message string) string {
	w.t.Helper()
	w.git("add", "-A")
	w.git("commit", "-q", "-m", message)
	return w.git("rev-parse", "HEAD")
}

// until waits for something to be so.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(3 * time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("it did not come to be that %s", what)
		}
	}
}
