package cluster_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The one API server of this package's tests, with two simulated nodes unless DAVIT_TEST_KUBECONFIG names a
// cluster to use instead.
var (
	restConfig *rest.Config
	client     *kubernetes.Clientset
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if devcluster.Fuzzing() {
		return m.Run()
	}
	ctx := context.Background()
	cfg := devcluster.Config{Kubeconfig: os.Getenv("DAVIT_TEST_KUBECONFIG"), Log: os.Stderr}
	if cfg.Kubeconfig == "" {
		cfg.Nodes, cfg.Controllers = 2, []string{"jobset"}
	}
	dev, err := devcluster.Start(ctx, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer dev.Stop()
	restConfig, err = clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err == nil {
		restConfig.QPS = -1
		client, err = kubernetes.NewForConfig(restConfig)
	}
	if err == nil {
		var c *cluster.Cluster
		if c, err = cluster.New(ctx, cluster.Config{REST: restConfig, Owner: "test"}); err == nil {
			_, err = c.Install(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const owner = "https://git.example.com/models controller-1"

// open makes a Cluster that knows one fresh namespace.
func open(t testing.TB, edits ...func(*cluster.Config)) (*cluster.Cluster, string) {
	t.Helper()
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	return reopen(t, ns.Name, edits...), ns.Name
}

func reopen(t testing.TB, namespace string, edits ...func(*cluster.Config)) *cluster.Cluster {
	t.Helper()
	cfg := cluster.Config{REST: restConfig, Owner: owner, Namespaces: []string{namespace}}
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := cluster.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// objects reads manifests separated by lines of dashes.
func objects(t testing.TB, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

const config = `apiVersion: v1
kind: ConfigMap
metadata: {name: iris, labels: {davit.dev/release: iris}}
data: {a: "1"}`

const service = `apiVersion: v1
kind: Service
metadata: {name: iris, labels: {davit.dev/release: iris}}
spec: {selector: {davit.dev/release: iris}, ports: [{port: 80}]}`

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: iris, labels: {davit.dev/release: iris}}
spec:
  replicas: 2
  selector: {matchLabels: {davit.dev/release: iris}}
  template:
    metadata: {labels: {davit.dev/release: iris}}
    spec: {containers: [{name: server, image: "registry.example.com/server:1"}]}`

const all = config + "\n---\n" + deployment + "\n---\n" + service

func claim(t testing.TB, c *cluster.Cluster, namespace, commit string, objects []*unstructured.Unstructured) *v1alpha1.ModelRelease {
	t.Helper()
	mr, err := c.Claim(t.Context(), cluster.Target{
		Namespace: namespace, Environment: "production", Release: "iris", Commit: commit, Kinds: cluster.Kinds(objects),
	})
	if err != nil {
		t.Fatal(err)
	}
	return mr
}

// deploy claims and applies text and writes what the apply left into the status.
func deploy(t *testing.T, c *cluster.Cluster, namespace, commit, text string) (*v1alpha1.ModelRelease, cluster.ChangeSet) {
	t.Helper()
	rendered := objects(t, text)
	mr := claim(t, c, namespace, commit, rendered)
	set, err := c.Apply(t.Context(), mr, rendered, cluster.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mr.Status.Applied.Commit, mr.Status.Token = commit, mr.Spec.Claim.Token
	mr.Status.Phase = v1alpha1.Healthy
	mr.Status.Inventory = set.Inventory
	if mr, err = c.WriteStatus(t.Context(), mr); err != nil {
		t.Fatal(err)
	}
	return mr, set
}

// actions lists a ChangeSet as "created ConfigMap/iris", sorted as it came.
func actions(set cluster.ChangeSet) string {
	var lines []string
	for _, c := range set.Changes {
		lines = append(lines, string(c.Action)+" "+c.Ref.String())
	}
	return strings.Join(lines, ", ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// eventually asks until check has no objection.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
