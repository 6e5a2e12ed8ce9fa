package cluster_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

func restCopy() *rest.Config { return rest.CopyConfig(restConfig) }

func needNodes(t *testing.T) {
	t.Helper()
	if nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil || len(nodes.Items) == 0 {
		t.Skip("needs nodes")
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
	if h := w.Health(t.Context(), mr, 0); h.Since.IsZero() {
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
		if h := w.Health(t.Context(), mr, 0); h.State != state || h.Reason != reason {
			return fmt.Errorf("%s %s: %s", h.State, h.Reason, h.Message)
		}
		return nil
	})
}

func TestWatchTellsOfSpecsButNotOfStatuses(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", config)
	_, told := watch(t, c)
	mr.Status.Message = "written by davit"
	mr, err := c.WriteStatus(t.Context(), mr)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
		t.Error("told of a status")
	default:
	}
	mr.Spec.Suspend = true
	if _, err := c.WriteSpec(t.Context(), mr); err != nil {
		t.Fatal(err)
	}
	want(t, "told", <-told, ns+"/iris")
	select {
	case <-told:
		t.Error("told twice: of the status too")
	default:
	}
}

// hostIP is an address of this machine that the API server may reach as a pod's.
func hostIP(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("needs an address other than loopback")
	return ""
}

func TestSmokeTest(t *testing.T) {
	c, ns := open(t)
	ip := hostIP(t)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /infer", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"class":"setosa"}`) })
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no weights", 503) })
	mux.HandleFunc("GET /ask", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query().Get("q")) })
	listener, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	model := httptest.NewUnstartedServer(mux)
	model.Listener = listener
	model.Start()
	t.Cleanup(model.Close)
	port := int32(listener.Addr().(*net.TCPAddr).Port)

	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "iris"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	idle := svc.DeepCopy()
	idle.Name = "idle"
	for _, s := range []*corev1.Service{svc, idle} {
		if _, err := client.CoreV1().Services(ns).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	expose(t, ns, ip, port)
	test := func(s cluster.Smoke) error {
		s.Namespace = ns
		if s.Service == "" {
			s.Service = "iris"
		}
		return c.SmokeTest(t.Context(), s)
	}
	infer := cluster.Smoke{Path: "/infer", Body: "{}", Expect: "setosa"}
	eventually(t, func() error { return test(infer) })
	if err := test(cluster.Smoke{Path: "/ask?q=hello", Port: 80, Expect: "hello"}); err != nil {
		t.Errorf("query: %v", err)
	}
	infer.Expect = "virginica"
	for name, s := range map[string]cluster.Smoke{"another answer": infer, "error status": {Path: "/broken"}, "no such path": {Path: "/nothing"}} {
		var bad *cluster.SmokeError
		if err := test(s); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]cluster.Smoke{"nobody there": {Service: "idle", Path: "/"}, "no service": {Service: "none", Path: "/"}} {
		var bad *cluster.SmokeError
		if err := test(s); err == nil || errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	model.Close()
	var bad *cluster.SmokeError
	if err := test(infer); err == nil || errors.As(err, &bad) {
		t.Errorf("server gone: %v", err)
	}
}

// expose makes ip:port the only endpoint of Service iris.
func expose(t *testing.T, ns, ip string, port int32) {
	t.Helper()
	name, ready := "http", true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "iris-1", Labels: map[string]string{discoveryv1.LabelServiceName: "iris"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	if _, err := client.DiscoveryV1().EndpointSlices(ns).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // the API server's proxy may still read Endpoints
	endpoints := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "iris"}, Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: ip}}, Ports: []corev1.EndpointPort{{Name: name, Port: port}},
	}}}
	_, _ = client.CoreV1().Endpoints(ns).Create(context.Background(), endpoints, metav1.CreateOptions{})
}
