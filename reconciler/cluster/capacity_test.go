package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/cluster/capacity"
)

// decoded is an object of YAML, strictly read.
func decoded[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// addNode adds a simulated node that only pods of this test tolerate.
func addNode(t *testing.T, name, product string, gpus int, more string) {
	t.Helper()
	n := decoded[corev1.Node](t, fmt.Sprintf(`
metadata: {name: %s, labels: {gpu: %s}, annotations: {kwok.x-k8s.io/node: fake}}
spec: {taints: [{key: capacity-test, effect: NoSchedule}]%s}
status: {allocatable: {cpu: 32, memory: 256Gi, pods: 110, nvidia.com/gpu: %d}, capacity: {cpu: 32, memory: 256Gi, pods: 110, nvidia.com/gpu: %[4]d}}`, name, product, more, gpus))
	if _, err := client.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}) })
	eventually(t, func() error {
		n, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && slices.ContainsFunc(n.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == "node.kubernetes.io/not-ready" }) {
			return fmt.Errorf("node %s is not ready", name)
		}
		return err
	})
}

func addPod(t testing.TB, ns, name, release, spec string) {
	t.Helper()
	p := decoded[corev1.Pod](t, fmt.Sprintf("metadata: {name: %s, labels: {davit.dev/release: %s}}\nspec: {tolerations: [{key: capacity-test}], %s}", name, release, spec))
	if release == "" {
		p.Labels = nil
	}
	if _, err := client.CoreV1().Pods(ns).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// only leaves the nodes of this test.
func only(s *capacity.State, product string) *capacity.State {
	s.Nodes = slices.DeleteFunc(s.Nodes, func(n *capacity.Node) bool { return n.Object.Labels["gpu"] != product })
	return s
}

func fits(t testing.TB, s *capacity.State, releases ...capacity.Release) string {
	t.Helper()
	waits, err := capacity.Fit(t.Context(), s, releases)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, w := range waits {
		lines = append(lines, w.String())
	}
	return strings.Join(lines, "\n")
}

// asked is a release of n pods.
func asked(t testing.TB, ns, name string, n int, text, pod string) capacity.Release {
	t.Helper()
	pods, err := capacity.Demand(objects(t, text+fmt.Sprintf("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: %s}\nspec: {replicas: %d, template: {spec: {tolerations: [{key: capacity-test}], %s}}}", name, n, pod)))
	if err != nil {
		t.Fatal(err)
	}
	return capacity.Release{Name: "production/" + name, Namespace: ns, Label: name, Pods: pods}
}

// TestCapacity has a node of eight GPUs: four are a release's, two are somebody else's, and pods that ended or have
// no node hold none.
func TestCapacity(t *testing.T) {
	c, ns := open(t)
	addNode(t, ns+"-a", ns, 8, "")
	addNode(t, ns+"-b", ns, 8, ", unschedulable: true")
	gpus := func(n int) string {
		return fmt.Sprintf("nodeSelector: {gpu: %s}, containers: [{name: a, image: a, resources: {limits: {nvidia.com/gpu: %d}}}]", ns, n)
	}
	addPod(t, ns, "llama-0", "llama", gpus(4))
	addPod(t, ns, "other", "", gpus(2))
	eventually(t, func() error { return scheduled(t, ns, "llama-0", "other") })
	addPod(t, ns, "ended", "llama", "restartPolicy: Never, "+gpus(2))
	eventually(t, func() error { return scheduled(t, ns, "ended") })
	var ended *corev1.Pod
	eventually(t, func() (err error) { // the simulated node says that it runs, and says no more
		if ended, err = client.CoreV1().Pods(ns).Get(t.Context(), "ended", metav1.GetOptions{}); err == nil && ended.Status.Phase != corev1.PodRunning {
			err = errors.New("it does not run")
		}
		return err
	})
	ended.Status.Phase = corev1.PodFailed
	if _, err := client.CoreV1().Pods(ns).UpdateStatus(t.Context(), ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	addPod(t, ns, "pending", "llama", gpus(8))

	s, err := c.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if only(s, ns); len(s.Nodes) != 2 || s.Nodes[0].Has["nvidia.com/gpu"] != 8 || s.Nodes[0].Used["nvidia.com/gpu"] != 2 {
		t.Fatalf("nodes %+v", s.Nodes)
	}
	var running []capacity.Running
	for _, r := range s.Running {
		if r.Namespace == ns {
			running = append(running, r)
		}
	}
	if len(running) != 1 || running[0].Release != "llama" || running[0].Node != ns+"-a" || running[0].Needs["nvidia.com/gpu"] != 4 {
		t.Errorf("running %+v", running)
	}
	llama, other := asked(t, ns, "llama", 1, "", gpus(6)), asked(t, ns, "other", 1, "", gpus(3))
	want(t, "a release beside", fits(t, s, other), "production/other: 1 of 1 pod would wait: 3 × nvidia.com/gpu each on nodes with gpu="+ns+"; 2 of 8 free, on 1 node; 1 node is cordoned")
	llama.Rolls = true
	want(t, "in place", fits(t, s, llama), "")
	rows, err := capacity.Table(t.Context(), s, nil, []capacity.Release{llama})
	if err != nil || len(rows) != 1 || rows[0].Has != 16 || rows[0].Free != 2 {
		t.Errorf("rows %+v, %v", rows, err)
	}
}

// TestCapacityOfDevices has the scheduler allocate devices of a driver, and counts the ones left.
func TestCapacityOfDevices(t *testing.T) {
	c, ns := open(t)
	addNode(t, ns, ns, 0, "")
	slice := decoded[resourcev1.ResourceSlice](t, fmt.Sprintf(`
metadata: {name: %s}
spec:
  driver: gpu.example.com
  nodeName: %[1]s
  pool: {name: %[1]s, generation: 1, resourceSliceCount: 1}
  devices: [{name: gpu-0, attributes: {product: {string: h100}}}, {name: gpu-1, attributes: {product: {string: h100}}}, {name: gpu-2, attributes: {product: {string: h100}}}, {name: old, attributes: {product: {string: k80}}}]`, ns))
	class := decoded[resourcev1.DeviceClass](t, fmt.Sprintf("metadata: {name: %s}\nspec: {selectors: [{cel: {expression: \"device.driver == 'gpu.example.com'\"}}]}", ns))
	const selector = "device.attributes['gpu.example.com'].product == 'h100'"
	template := fmt.Sprintf(`apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: llama-gpu}
spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: %s, selectors: [{cel: {expression: "%s"}}]}}]}}}`, ns, selector)
	if _, err := client.ResourceV1().ResourceSlices().Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ResourceV1().DeviceClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.ResourceV1().ResourceSlices().Delete(context.Background(), ns, metav1.DeleteOptions{})
		_ = client.ResourceV1().DeviceClasses().Delete(context.Background(), ns, metav1.DeleteOptions{})
	})
	if _, err := client.ResourceV1().ResourceClaimTemplates(ns).Create(t.Context(), decoded[resourcev1.ResourceClaimTemplate](t, template), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := "resourceClaims: [{name: gpu, resourceClaimTemplateName: llama-gpu}], containers: [{name: a, image: a, resources: {claims: [{name: gpu}]}}]"
	addPod(t, ns, "llama-0", "llama", pod)
	addPod(t, ns, "llama-1", "llama", pod)
	eventually(t, func() error { return scheduled(t, ns, "llama-0", "llama-1") })

	s, err := c.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	only(s, ns)
	llama, other := asked(t, ns, "llama", 3, template+"\n---\n", pod), asked(t, ns, "other", 2, template+"\n---\n", pod)
	const wait = " would wait: 1 × %s each with " + selector + "; no node has as many such devices free"
	want(t, "one more", fits(t, s, llama), "")
	want(t, "another release's", fits(t, s, other), "production/other: 1 of 2 pods"+fmt.Sprintf(wait, ns))
	llama.Rolls = true
	want(t, "in place", fits(t, s, llama), "")
	want(t, "both", fits(t, s, llama, other), "production/other: 2 of 2 pods"+fmt.Sprintf(wait, ns))
	rows, err := capacity.Table(t.Context(), s, []capacity.Release{other}, []capacity.Release{llama})
	if err != nil || len(rows) != 1 || rows[0].Has != 3 || rows[0].Free != 1 || rows[0].AskedNow != 2 || rows[0].AskedAfter != 3 {
		t.Errorf("rows %+v, %v", rows, err)
	}
}

// scheduled fails until pods have a node.
func scheduled(t testing.TB, ns string, names ...string) error {
	for _, name := range names {
		p, err := client.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if p.Spec.NodeName == "" {
			return fmt.Errorf("pod %s has no node: %v", name, p.Status.Conditions)
		}
	}
	return nil
}

// TestCapacityNeedsNoMore reads with what a read-only user may list, and says what one who may not lacks.
func TestCapacityNeedsNoMore(t *testing.T) {
	_, ns := open(t)
	asUser := func(cfg *cluster.Config) {
		cfg.REST = restCopy()
		cfg.REST.Impersonate = rest.ImpersonationConfig{UserName: ns}
		cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return before(func(r *http.Request) {
				if r.Method != http.MethodGet {
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
			}, next)
		})
	}
	c := reopen(t, ns, asUser)
	if _, err := c.Capacity(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listing nodes: nodes is forbidden") {
		t.Errorf("got %v", err)
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: ns}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes", "pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{"resource.k8s.io"}, Resources: []string{"resourceslices", "deviceclasses", "resourceclaims"}, Verbs: []string{"list"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: ns}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: ns},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: ns}}}
	if _, err := client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.RbacV1().ClusterRoles().Delete(context.Background(), ns, metav1.DeleteOptions{})
		_ = client.RbacV1().ClusterRoleBindings().Delete(context.Background(), ns, metav1.DeleteOptions{})
	})
	eventually(t, func() error { // RBAC is cached for a moment
		_, err := c.Capacity(t.Context())
		return err
	})
}

func TestAPIs(t *testing.T) {
	c, _ := open(t)
	apis, err := c.APIs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(apis.Kubernetes, "1.") || !apis.Has("apps/v1") || !apis.Has("apps") || !apis.Has("davit.dev/v1alpha1") {
		t.Errorf("got %+v", apis)
	}
	if apis.Has("apps/v2") || apis.Has("gateway.example.com") {
		t.Errorf("got %+v", apis)
	}
}
