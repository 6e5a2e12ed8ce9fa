package cluster_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

func restCopy() *rest.Config { return rest.CopyConfig(restConfig) }

func needNodes(t *testing.T) {
	t.Helper()
	if nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil || len(nodes.Items) == 0 {
		t.Skip("the cluster of DAVIT_TEST_KUBECONFIG has no nodes for pods to become ready on")
	}
}

func watch(t *testing.T, c *cluster.Cluster) (*cluster.Watcher, chan string) {
	t.Helper()
	told := make(chan string, 1000)
	w, err := c.Watch(t.Context(), func(namespace, release string) { told <- namespace + "/" + release })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w, told
}

func TestADeploymentBecomesReady(t *testing.T) {
	needNodes(t)
	c, ns := open(t)
	w, told := watch(t, c)
	mr, _ := deploy(t, c, ns, "c1", all)
	awaitState(t, w, c, ns, cluster.Ready, "")
	if h := w.Health(t.Context(), mr, cluster.HealthOptions{}); h.Since.IsZero() {
		t.Error("nobody knows since when it is ready")
	}
	want(t, "told", <-told, ns+"/iris")

	// A new template counts from its own pods: the moment after the apply is not ready, whatever the old ones say.
	mr, _ = deploy(t, c, ns, "c2", strings.Replace(all, "server:1", "server:2", 1))
	awaitState(t, w, c, ns, cluster.Ready, "")
	pods, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	updated := 0
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && p.Spec.Containers[0].Image == "registry.example.com/server:2" {
			updated++
		}
	}
	if updated != 2 {
		t.Errorf("ready with %d new pods", updated)
	}
	_ = mr
}

// TestAReadyRevisionOfThePastIsNotReady: while the watches lag, what they show as ready is not what was applied last.
func TestAReadyRevisionOfThePastIsNotReady(t *testing.T) {
	needNodes(t)
	line := &wire{}
	c, ns := open(t, line.on)
	w, _ := watch(t, c)
	deploy(t, c, ns, "c1", all)
	awaitState(t, w, c, ns, cluster.Ready, "")
	release := line.hold()
	defer release()
	mr, _ := deploy(t, c, ns, "c2", strings.Replace(all, "server:1", "server:2", 1))
	if h := w.Health(t.Context(), mr, cluster.HealthOptions{}); h.State != cluster.Progressing || h.Reason != "Unobserved" {
		t.Errorf("the new revision is %s (%s) by what is known of the old one", h.State, h.Reason)
	}
	release()
	awaitState(t, w, c, ns, cluster.Ready, "")
}

func TestNoFittingNodeIsWaiting(t *testing.T) {
	needNodes(t)
	c, ns := open(t)
	w, _ := watch(t, c)
	deploy(t, c, ns, "c1", strings.Replace(deployment, "spec: {containers", "spec: {nodeSelector: {no: node}, containers", 1))
	awaitState(t, w, c, ns, cluster.Waiting, "Unschedulable")
}

func awaitState(t *testing.T, w *cluster.Watcher, c *cluster.Cluster, ns string, state cluster.State, reason string) {
	t.Helper()
	mr, err := c.Release(t.Context(), ns, "production", "iris")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if h := w.Health(t.Context(), mr, cluster.HealthOptions{}); h.State != state || h.Reason != reason {
			return fmt.Errorf("%s %s: %s", h.State, h.Reason, h.Message)
		}
		return nil
	})
}

// TestSmokeTest runs against a stand-in for the API server's proxy: the real one refuses endpoints on
// loopback, and simulated pods answer nothing.
func TestSmokeTest(t *testing.T) {
	mux := http.NewServeMux()
	const proxy = "/api/v1/namespaces/ns/services/"
	mux.HandleFunc("POST "+proxy+"iris:80/proxy/infer", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"class":"setosa"}`) })
	mux.HandleFunc("GET "+proxy+"iris:80/proxy/ask", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query().Get("q")) })
	mux.HandleFunc("GET "+proxy+"iris:80/proxy/broken", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no weights", http.StatusInternalServerError)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c, err := cluster.New(t.Context(), cluster.Config{REST: &rest.Config{Host: server.URL}, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	test := func(s cluster.Smoke) error {
		s.Namespace, s.Service, s.Port = "ns", "iris", 80
		return c.SmokeTest(t.Context(), s)
	}
	infer := cluster.Smoke{Path: "/infer", Body: "{}", Expect: "setosa"}
	for name, s := range map[string]cluster.Smoke{"inference": infer, "query": {Path: "/ask?q=hello", Expect: "hello"}} {
		if err := test(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	infer.Expect = "virginica"
	for name, s := range map[string]cluster.Smoke{"another answer": infer, "error status": {Path: "/broken"}} {
		var bad *cluster.SmokeError
		if err := test(s); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Close()
	var bad *cluster.SmokeError
	if err := test(infer); err == nil || errors.As(err, &bad) {
		t.Errorf("server gone: %v", err)
	}
}
