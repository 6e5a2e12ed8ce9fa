package chaos_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// crashWorld is a registry in a real git repository, a real API server with simulated nodes, a real OCI registry, and a davit
// controller in a process of its own, which can be killed.
type crashWorld struct {
	clone              // of the registry; its t is of the part that runs
	whole   *testing.T // for what runs beside the parts
	home    string     // of the controller: what is left of its mirror is there when it starts anew
	davit   string     // the program
	dev     *devcluster.Cluster
	front   *front
	keys    []image.PublicKey
	client  kubernetes.Interface
	dynamic dynamic.Interface
	log     *os.File
	model   *crashModel
	trace   *crashTrace

	mu      sync.Mutex
	process *exec.Cmd
}

const crashRegistry = `apiVersion: davit.dev/v1alpha1
kind: ModelRegistry
metadata: {name: models, namespace: davit}
spec:
  url: URL
  interval: 1s
  environments:
  - {name: staging, namespaces: [staging]}
  - {name: production, namespaces: [production]}
`

func newCrashWorld(t *testing.T) *crashWorld {
	t.Helper()
	w := &crashWorld{clone: clone{t, filepath.Join(t.TempDir(), "models")}, whole: t, home: t.TempDir()}
	w.davit = filepath.Join(w.home, "davit")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", w.davit, "../../cmd/davit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	built := make(chan error, 1)
	go func() {
		out, err := build.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building davit: %w\n%s", err, out)
		}
		built <- err
	}()
	var err error
	w.dev, err = devcluster.Start(t.Context(), devcluster.Config{Nodes: 1, Registry: true, Stages: []string{"../testdata/crash-v3.yaml"}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := <-built; err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", w.dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	w.client, w.dynamic = kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	w.front = newFront(t, w.dev.Kubeconfig, w.dev.Registry, filepath.Dir(w.dir))
	w.front.aim, w.front.seen = w.aim, w.audit
	kubeconfig := api.NewConfig()
	kubeconfig.Clusters["front"] = &api.Cluster{Server: w.front.api.URL}
	kubeconfig.Contexts["front"] = &api.Context{Cluster: "front"}
	kubeconfig.CurrentContext = "front"
	if err := clientcmd.WriteToFile(*kubeconfig, filepath.Join(w.home, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	w.trace = newCrashTrace(w)
	w.repository(w.signingKey())
	w.run(w.davit, "install", "--crds", "--kubeconfig", w.dev.Kubeconfig)
	for _, name := range []string{"davit", "staging", "production"} {
		if _, err := w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(crashRegistry, "URL", w.front.git.URL+"/models/.git")), &o.Object); err != nil {
		t.Fatal(err)
	}
	registries := w.dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace("davit")
	if _, err := registries.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if w.log, err = os.Create(filepath.Join(w.home, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.front.at(nil)
		w.kill()
		w.log.Close()
		if t.Failed() {
			data, _ := os.ReadFile(w.log.Name())
			t.Logf("the end of the controllers' log:\n%s", data[max(0, len(data)-12000):])
		}
	})
	return w
}

// signingKey makes the key by which the controller signs images, and gives its public half.
func (w *crashWorld) signingKey() string {
	w.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.home, "key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		w.t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if w.keys, err = image.ParsePublicKeys(public); err != nil {
		w.t.Fatal(err)
	}
	return string(public)
}

// repository makes one whose environments apply nothing that is not signed, with its provenance.
func (w *crashWorld) repository(public string) {
	if err := os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		w.t.Fatal(err)
	}
	w.edit("davit.yaml", "127.0.0.1:5000", strings.TrimPrefix(w.front.oci.URL, "http://"))
	policy := "  bake: 300ms\n  publisher: {image: registry.example.com/davit@sha256:" + strings.Repeat("1", 64) + "}\n" +
		"  images:\n    provenance: true\n    keys:\n      - |\n        " + strings.ReplaceAll(strings.TrimSpace(public), "\n", "\n        ") + "\n"
	for _, env := range []string{"staging", "production"} {
		w.edit("environments/"+env+"/environment.yaml", "  bake: 5s\n", policy)
	}
	w.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	w.run("git", "init", "-q", "-b", "main")
	w.run("git", "config", "http.receivepack", "true")
	w.run("git", "config", "gc.auto", "0")
	w.commit("iris at v1")
}

// start starts a controller. The Lease of one that was killed is taken away: to wait for its end is all that each test would do.
func (w *crashWorld) start() {
	w.t.Helper()
	err := w.client.CoordinationV1().Leases("davit").Delete(w.t.Context(), "davit", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	cmd := exec.Command(w.davit, "controller", "--namespace", "davit", "--kubeconfig", filepath.Join(w.home, "kubeconfig"),
		"--mirrors", filepath.Join(w.home, "mirrors"), "--listen", "127.0.0.1:0", "--signing-key", filepath.Join(w.home, "key"))
	cmd.Env = append(os.Environ(), "HOME="+w.home)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = cmd
}

// kill ends the controller as the kernel would, if one runs.
func (w *crashWorld) kill() { w.aim()() }

// aim gives what kills the controller that runs now, and no later one.
func (w *crashWorld) aim() (kill func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	aimed := w.process
	return func() { w.end(aimed) }
}

func (w *crashWorld) end(process *exec.Cmd) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if process == nil || w.process != process {
		return
	}
	_ = w.process.Process.Kill()
	if err := w.process.Wait(); !errors.As(err, new(*exec.ExitError)) || w.process.ProcessState.Exited() {
		w.whole.Errorf("the controller ended by itself: %v", err)
	}
	w.process = nil
}

// mirrors are the controller's own copies of the repository.
func (w *crashWorld) mirrors() (dirs []string) {
	heads, err := filepath.Glob(filepath.Join(w.home, "mirrors", "*", "HEAD"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range heads {
		dirs = append(dirs, filepath.Dir(h))
	}
	return dirs
}
