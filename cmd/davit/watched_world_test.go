package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// watched is a controller in a process of its own, with all that watches it: Prometheus, a collector of traces, its log.
type watched struct {
	t       *testing.T
	dir     string // the registry's repository
	dev     *devcluster.Cluster
	client  *kubernetes.Clientset
	dynamic dynamic.Interface
	spans   *collector
	env     []string // more, of a controller
}

const watchedRegistry = `apiVersion: davit.dev/v1alpha1
kind: ModelRegistry
metadata: {name: models, namespace: davit}
spec:
  url: DIR
  interval: 1s
  environments:
  - {name: staging, namespaces: [staging]}
  - {name: production, namespaces: [production]}
`

func newWatched(t *testing.T) *watched {
	t.Helper()
	return newWatchedOf(t, func(w *watched) string { return strings.ReplaceAll(watchedRegistry, "DIR", w.dir) })
}

// newWatchedOf has a ModelRegistry that is yet to be said.
func newWatchedOf(t *testing.T, registry func(*watched) string) *watched {
	t.Helper()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{
		Nodes: 1, GPUs: 8, Registry: true, Stages: []string{"../../reconciler/testdata/crash-v3.yaml"}, Log: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &watched{t: t, dir: t.TempDir(), dev: dev, spans: newCollector(t)}
	w.repository()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.client, w.dynamic = kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	w.run("davit", "install", "--crds", "--kubeconfig", dev.Kubeconfig)
	for _, name := range []string{"davit", "staging", "production"} {
		if _, err := w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(registry(w)), &o.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace("davit").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) repository() {
	if err := os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		w.t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000", w.dev.Registry)
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 1s")
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	w.run("git", "init", "-q", "-b", "main")
	w.commit("iris at v1")
}

func (w *watched) edit(name, from, to string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	data, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(data, []byte(from)) {
		w.t.Fatalf("%s has no %q: %v", name, from, err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// commit is what a person does; it gives the commit's hash.
func (w *watched) commit(message string) string {
	w.t.Helper()
	w.run("git", "add", "-A")
	w.run("git", "commit", "-q", "-m", message)
	return w.run("git", "rev-parse", "HEAD")
}

func (w *watched) run(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), name, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// process is a controller.
type process struct {
	*exec.Cmd
	w       *watched
	address string // of its metrics and probes
	log     string // file
	ended   sync.Once
}

// control starts one, with more flags.
func (w *watched) control(flags ...string) *process {
	w.t.Helper()
	p := &process{w: w, address: w.free(), log: filepath.Join(w.t.TempDir(), "log")}
	log, err := os.Create(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	p.Cmd = exec.Command("davit", "controller", "--namespace", "davit", "--kubeconfig", w.dev.Kubeconfig, "--mirrors", w.t.TempDir(),
		"--listen", p.address, "--log-format", "json", "--release-metrics")
	p.Args = append(p.Args, flags...)
	p.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+w.spans.url, "OTEL_BSP_SCHEDULE_DELAY=200", "HOME="+w.t.TempDir())
	p.Env = append(p.Env, w.env...)
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		log.Close()
		text, _ := os.ReadFile(p.log)
		if word := planted.Find(text); word != "" {
			w.t.Errorf("the controller %s logged %s", p.address, word)
		}
		if w.t.Failed() {
			w.t.Logf("controller %s:\n%s", p.address, text)
		}
	})
	w.until("the controller listens", func() bool { return w.get("http://"+p.address+"/healthz") == "ok\n" })
	return p
}

// end ends it by a signal and waits for that.
func (p *process) end(by os.Signal) {
	p.ended.Do(func() {
		_ = p.Process.Signal(by)
		if err := p.Wait(); err != nil && by == syscall.SIGTERM {
			p.w.t.Errorf("the controller %s ended with %v", p.address, err)
		}
	})
}

// lines are those of its log so far, each an object.
func (p *process) lines() (out []map[string]any) {
	p.w.t.Helper()
	data, err := os.ReadFile(p.log)
	if err != nil {
		p.w.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			p.w.t.Fatalf("no JSON in the log: %s", line)
		}
		out = append(out, l)
	}
	return out
}

// count is how many lines have a message and a release's phase, "" for any.
func (p *process) count(message, release, phase string) (n int) {
	p.w.t.Helper()
	for _, l := range p.lines() {
		if l["msg"] == message && (release == "" || l["release"] == release) && (phase == "" || l["phase"] == phase) {
			n++
		}
	}
	return n
}

// comes waits until a release has changed to a phase as often as said, or oftener.
func (p *process) comes(release string, phase v1alpha1.Phase, times int) {
	p.w.t.Helper()
	p.w.until(release+" "+string(phase), func() bool { return p.count("release changed", release, string(phase)) >= times })
}

func (w *watched) free() string {
	address, err := devcluster.FreeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	return address
}

// get is the body of an answer, "" for no answer.
func (w *watched) get(url string) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func (w *watched) until(what string, ok func() bool) {
	w.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			w.t.Fatalf("not within two minutes: %s", what)
		}
	}
}
