package devcluster

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testLog passes a first build's progress on, which would otherwise look like a hang.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func start(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	cfg.Log = testLog{t}
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func kubectl(t *testing.T, c *Cluster, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Bin("kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// expectGone waits until none of the processes lives and the folder is away.
func expectGone(t *testing.T, c *Cluster) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var left []string
		for name, pid := range c.PIDs {
			if startTime(pid) != 0 {
				left = append(left, name)
			}
		}
		if _, err := os.Stat(c.Dir); err == nil {
			left = append(left, c.Dir)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %s", strings.Join(left, ", "))
		}
		_ = pause(t.Context())
	}
}

func TestControlPlane(t *testing.T) {
	began := time.Now()
	c := start(t, Config{Nodes: 2, GPUs: 4})
	t.Logf("ready after %v", time.Since(began))
	if got := kubectl(t, c, "get", "nodes", "-o", "jsonpath={.items[*].status.allocatable.nvidia\\.com/gpu}"); got != "4 4" {
		t.Errorf("GPUs of the nodes: got %q, want %q", got, "4 4")
	}
	kubectl(t, c, "create", "deployment", "web", "--image=example.com/web:1", "--replicas=3")
	kubectl(t, c, "wait", "deployment/web", "--for=condition=Available", "--timeout=300s")
	if len(c.PIDs) != 6 {
		t.Errorf("processes: got %v, want supervisor, etcd, three of the control plane and kwok", c.PIDs)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
}

func TestTwoAtOnce(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{})
	kubectl(t, a, "create", "namespace", "only-here")
	if out := kubectl(t, b, "get", "namespaces", "-o", "name"); strings.Contains(out, "only-here") {
		t.Errorf("the second cluster has the first one's namespace: %s", out)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, a)
	kubectl(t, b, "get", "namespaces")
}

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	c, err := StartRegistry(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	image, err := NewImage(map[string][]byte{"models/weights": []byte("1 2 3")})
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Push(t.Context(), c.Registry, "models/iris", "v1"); err != nil {
		t.Error(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Registry+"/v2/models/iris/manifests/"+image.Digest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", manifestType) // it is "not found" otherwise
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("getting the pushed manifest: %s", response.Status)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "registry", "docker")); err != nil {
		t.Errorf("the blobs in a folder of the user's did not stay: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "registry.yaml")); err == nil {
		t.Error("the registry's configuration was left behind")
	}
}

// startStarter runs a starter in a process of its own.
func startStarter(t *testing.T, env ...string) (*exec.Cmd, *Cluster) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "starter")
	if err := compileOwn(t.Context(), "./testdata/starter", binary); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("reading the starter's line: %v", err)
	}
	c := &Cluster{}
	if err := json.Unmarshal(line, c); err != nil {
		t.Fatal(err)
	}
	return cmd, c
}

func TestKilledStarterLeavesNothing(t *testing.T) {
	cmd, c := startStarter(t)
	if err := registryAnswers(t.Context(), c.Registry); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
}

func TestKilledSupervisorIsSwept(t *testing.T) {
	_, c := startStarter(t)
	if err := syscall.Kill(c.PIDs["supervisor"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for startTime(c.PIDs["supervisor"]) != 0 {
		_ = pause(t.Context())
	}
	if _, err := Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
}

func TestConfigFaults(t *testing.T) {
	_, err := Start(t.Context(), Config{NoControlPlane: true, Nodes: 1, GPUs: -1})
	if err == nil || !strings.Contains(err.Error(), "nodes need a control plane") || !strings.Contains(err.Error(), "negative") {
		t.Errorf("got %v, want both faults", err)
	}
}

func TestOwnClusterStandsIn(t *testing.T) {
	c, err := Start(context.Background(), Config{Kubeconfig: "/some/kubeconfig"})
	if err != nil || c.Kubeconfig != "/some/kubeconfig" || c.Stop() != nil {
		t.Errorf("got %+v, %v", c, err)
	}
}

const modelPod = `apiVersion: v1
kind: Pod
metadata: {name: model}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: files
    image: REGISTRY/files:1
    args: [/mnt/model]
    resources: {limits: {nvidia.com/gpu: 1}}
    readinessProbe: {httpGet: {path: /models/weights, port: 8080}, periodSeconds: 1}
    volumeMounts: [{name: model, mountPath: /mnt/model}]
  volumes:
  - name: model
    image: {reference: REGISTRY/iris:v1}
`

func TestRealNode(t *testing.T) {
	if os.Getenv("DAVIT_E2E") == "" || os.Geteuid() != 0 {
		t.Skip("a real node needs root on Linux and minutes for its first build; set DAVIT_E2E=1")
	}
	c := start(t, Config{RealNode: true, Registry: true, Forge: true, GPUs: 2, Controllers: []string{"jobset", "gateway"}})
	servePod(t, c)
	resolvePods(t, c)
	shareRequests(t, c)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
	expectNodeGone(t, c)
}

func servePod(t *testing.T, c *Cluster) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "files")
	if err := compileOwn(t.Context(), "./testdata/files", binary); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	push(t, c, "files", "1", map[string][]byte{"/files": program}, "/files")
	push(t, c, "iris", "v1", map[string][]byte{"models/weights": []byte("1 2 3")})
	manifest := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(manifest, []byte(strings.ReplaceAll(modelPod, "REGISTRY", c.Registry)), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "wait", "serviceaccount/default", "--for=create", "--timeout=300s")
	kubectl(t, c, "apply", "-f", manifest)
	defer func() {
		if t.Failed() {
			t.Log(kubectl(t, c, "describe", "pod", "model"))
		}
	}()
	if out, err := exec.Command(c.Bin("kubectl"), "--kubeconfig="+c.Kubeconfig, "wait", "pod/model", "--for=condition=Ready", "--timeout=90s").CombinedOutput(); err != nil {
		t.Errorf("waiting for the pod: %v: %s", err, out)
		return
	}
	pod := "http://" + kubectl(t, c, "get", "pod", "model", "-o", "jsonpath={.status.podIP}") + ":8080"
	if code, body := get(t, pod+"/models/weights"); code != http.StatusOK || body != "1 2 3" {
		t.Errorf("the pod served %d %q, want what the image volume holds", code, body)
	}
	if code, body := get(t, pod+"/fetch?url="+c.PodForge+"/api/v1/version"); code != http.StatusOK || !strings.Contains(body, "version") {
		t.Errorf("a pod asked the forge and got %d %s", code, body)
	}
	if code, body := get(t, pod+"/fetch?url=http://"+c.PodRegistry+"/v2/iris/tags/list"); code != http.StatusOK || !strings.Contains(body, `"v1"`) {
		t.Errorf("the pod got %d %q from the registry", code, body)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func push(t *testing.T, c *Cluster, repository, tag string, files map[string][]byte, entrypoint ...string) {
	t.Helper()
	image, err := NewImage(files, entrypoint...)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Push(t.Context(), c.Registry, repository, tag); err != nil {
		t.Fatal(err)
	}
}

// expectNodeGone looks for what a node leaves outside its folder.
func expectNodeGone(t *testing.T, c *Cluster) {
	t.Helper()
	id := strings.TrimPrefix(c.RealNode, "node-")
	if interfaceExists("dvt" + id) {
		t.Errorf("bridge dvt%s is still there", id)
	}
	if mounts := mountsBelow(c.Dir); len(mounts) > 0 {
		t.Errorf("still mounted: %v", mounts)
	}
	for _, root := range cgroupRoots() {
		if _, err := os.Stat(filepath.Join(root, "devcluster-"+id)); err == nil {
			t.Errorf("cgroup devcluster-%s is still in %s", id, root)
		}
	}
}
