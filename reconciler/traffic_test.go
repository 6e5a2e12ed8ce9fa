package reconciler_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/render"
)

// progressive has iris in production roll out that way.
func (w *world) progressive(rollout string) {
	w.t.Helper()
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  rollout: "+rollout+"\n")
	w.commit("a rollout of its own")
}

// canaried adds a route, and an environment that has gateways.
func (w *world) canaried(rollout string) {
	w.t.Helper()
	w.edit("environments/production/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: [gatewayAPI]}`)
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  route: {hostname: iris.example.com, gateway: gateways/public}\n")
	w.progressive(rollout)
}

func (w *world) promote(from, to string) {
	w.t.Helper()
	w.edit("releases/iris/production.yaml", "version: "+from, "version: "+to)
	w.commit("promote " + to)
}

// workloads are the Deployments of iris in production by their rollouts.
func (w *world) workloads() map[string]appsv1.Deployment {
	w.t.Helper()
	list, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).List(w.t.Context(), metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]appsv1.Deployment{}
	for _, d := range list.Items {
		if d.DeletionTimestamp == nil {
			out[d.Labels[render.RolloutLabel]] = d
		}
	}
	return out
}

// selected is the rollout that the Service leads to.
func (w *world) selected() string {
	w.t.Helper()
	service, err := w.kubectl().CoreV1().Services(w.namespace("production")).Get(w.t.Context(), "iris", get)
	if err != nil {
		w.t.Fatal(err)
	}
	return service.Spec.Selector[render.RolloutLabel]
}

// history is what happened to objects, in the order the API server tells it.
type history struct {
	mu    sync.Mutex
	lines []string
}

func (h *history) add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lines) == 0 || h.lines[len(h.lines)-1] != line {
		h.lines = append(h.lines, line)
	}
}

func (h *history) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

var routes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// weights watches how the route of iris shares the traffic out. Rollouts go by the letters a, b, …
func (w *world) weights() *history {
	w.t.Helper()
	client, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	watching, err := client.Resource(routes).Namespace(w.namespace("production")).Watch(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	h, letters := &history{}, map[string]string{}
	go func() {
		for event := range watching.ResultChan() {
			route, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			var parts []string
			rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
			backends, _ := rules[0].(map[string]any)["backendRefs"].([]any)
			for _, b := range backends {
				b := b.(map[string]any)
				name := b["name"].(string)
				if letters[name] == "" {
					letters[name] = string(rune('a' + len(letters)))
				}
				parts = append(parts, fmt.Sprintf("%s %v", letters[name], b["weight"]))
			}
			h.add(strings.Join(parts, ", "))
		}
	}()
	w.t.Cleanup(watching.Stop)
	return h
}

func TestBlueGreen(t *testing.T) {
	w := newWorld(t)
	w.progressive("{strategy: blueGreen, keep: 4s}")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	blue := w.selected()
	first := w.workloads()[blue]
	if first.Name != "iris-"+blue {
		t.Fatalf("the Service leads to %q, and there is %v", blue, w.workloads())
	}
	w.promote("v1", "v2")
	w.eventually("turned to v2", func() bool { return w.selected() != blue })
	green := w.selected()
	if d := w.workloads()[green]; d.Status.ReadyReplicas < 1 {
		t.Errorf("the traffic was turned to %s before it was ready: %+v", d.Name, d.Status)
	}
	w.until(production, "v2", v1alpha1.Healthy)
	if kept := w.workloads()[blue]; kept.UID != first.UID {
		t.Errorf("v1 is gone at once: %+v", kept.Name)
	}

	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	if again := w.workloads()[blue]; again.UID != first.UID || again.Generation != first.Generation || w.selected() != blue {
		t.Errorf("going back touched %s, or left the traffic at %s", again.Name, w.selected())
	}
	w.eventually("v2 deleted when its time is over", func() bool { return len(w.workloads()) == 1 })
	w.drain("production", "nothing kept", func(s v1alpha1.ModelReleaseStatus) bool { return s.Traffic.Kept == "" })
	if s := w.status("production"); *s.Traffic != (v1alpha1.Traffic{Serving: blue}) {
		t.Errorf("status %+v", *s.Traffic)
	}
}

// TestBlueGreenFails: a version that crashes never has the traffic.
func TestBlueGreenFails(t *testing.T) {
	w := newWorld(t)
	w.progressive("{strategy: blueGreen}")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	blue := w.selected()
	service, err := w.kubectl().CoreV1().Services(w.namespace("production")).Get(t.Context(), "iris", get)
	if err != nil {
		t.Fatal(err)
	}
	w.promote("v1", "v3")
	w.until(production, "v3", v1alpha1.Failed)
	w.until(production, "v1", v1alpha1.RolledBack)
	after, err := w.kubectl().CoreV1().Services(w.namespace("production")).Get(t.Context(), "iris", get)
	if err != nil || after.ResourceVersion != service.ResourceVersion {
		t.Errorf("the Service was touched: %v, %v", err, after)
	}
	w.eventually("v3 deleted", func() bool { all := w.workloads(); _, ok := all[blue]; return len(all) == 1 && ok })
}

func TestCanary(t *testing.T) {
	w := newWorld(t)
	w.canaried("{strategy: canary, keep: 1m, steps: [{weight: 20, pause: 300ms}, {weight: 60}]}")
	h := w.weights()
	w.follow()
	w.accept()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	want := []string{"a 100", "a 80, b 20", "a 40, b 60", "b 100"}
	w.eventually("all traffic at v2", func() bool { return slices.Equal(h.all(), want) })

	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	want = append(want, "a 100")
	w.eventually("back without steps", func() bool { return slices.Equal(h.all(), want) })
}

// TestCanaryAborted: when the new version breaks under its share of the traffic, the share goes back before anything
// else is done.
func TestCanaryAborted(t *testing.T) {
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept()
	w.until(production, "v1", v1alpha1.Healthy)
	stable := w.selected()
	w.promote("v1", "v2")
	status := w.drain("production", "a canary", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Canary" })
	if status.Message != "step 1 of 1: v2 has 20% of the traffic for 1h0m0s" || status.Traffic.Weight != 20 {
		t.Errorf("status %+v, %+v", status.Message, status.Traffic)
	}
	w.ailing(render.RolloutLabel+"="+status.Traffic.Next, "", 3, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.until(production, "v2", v1alpha1.Failed)
	if got := h.all(); got[len(got)-1] != "a 100" || len(w.workloads()) != 2 {
		t.Errorf("failed with weights %v and %d workloads", got, len(w.workloads()))
	}
	w.until(production, "v1", v1alpha1.RolledBack)
	w.eventually("the canary deleted", func() bool { all := w.workloads(); _, ok := all[stable]; return len(all) == 1 && ok })
	if got := h.all(); !slices.Equal(got, []string{"a 100", "a 80, b 20", "a 100"}) {
		t.Errorf("weights %v", got)
	}
}

// TestCanarySuperseded: a newer commit takes the share of a canary that is under way, and a new process goes on with
// the step where the old one was.
func TestCanarySuperseded(t *testing.T) {
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20}, {weight: 60, pause: 1h}]}")
	h := w.weights()
	stop := w.follow()
	w.accept()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.drain("production", "at the second step", func(s v1alpha1.ModelReleaseStatus) bool { return s.Traffic.Step == 2 })
	stop()
	w.follow()
	w.edit("releases/iris/production.yaml", "version: v2\n", "version: v2\n  args: {verbose: \"1\"}\n")
	w.commit("another argument")
	w.drain("production", "at the second step again", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Traffic.Step == 2 && !strings.HasSuffix(s.Applied.Commit, w.git("rev-parse", "HEAD~1"))
	})
	want := []string{"a 100", "a 80, b 20", "a 40, b 60", "a 100", "a 80, c 20", "a 40, c 60"}
	w.eventually("as wanted", func() bool { return slices.Equal(h.all(), want) })
}

// accept stands in for a gateway: it says of every route that it took it, and moves no traffic.
func (w *world) accept() {
	client, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	in := client.Resource(routes).Namespace(w.namespace("production"))
	watching, err := in.Watch(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(watching.Stop)
	go func() {
		for event := range watching.ResultChan() {
			route, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			refs, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
			condition := func(typ string) any {
				return map[string]any{"type": typ, "status": "True", "reason": typ, "message": "", "observedGeneration": route.GetGeneration(), "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}
			}
			parents := []any{map[string]any{"parentRef": refs[0], "controllerName": "example.com/stand-in", "conditions": []any{condition("Accepted"), condition("ResolvedRefs")}}}
			_ = unstructured.SetNestedSlice(route.Object, parents, "status", "parents")
			_, _ = in.UpdateStatus(w.t.Context(), route, metav1.UpdateOptions{}) // a conflict brings the next event
		}
	}()
}

// TestStrategyChanges: from a workload that revisions share to one for each, and back, with somebody ready all the time.
func TestStrategyChanges(t *testing.T) {
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.progressive("{strategy: blueGreen, keep: 1h}")
	w.until(production, "v1", v1alpha1.Healthy)
	all := w.workloads()
	blue := w.selected()
	if _, shared := all[""]; shared || blue == "" || len(all) != 1 {
		t.Errorf("the Service leads to %q of %v", blue, all)
	}
	w.edit("releases/iris/production.yaml", "strategy: blueGreen, keep: 1h", "strategy: inPlace")
	w.commit("shared again")
	w.until(production, "v1", v1alpha1.Healthy)
	if all := w.workloads(); len(all) != 1 || all[""].Name != "iris" || w.selected() != "" {
		t.Errorf("the Service leads to %q of %v", w.selected(), all)
	}
	if s := w.status("production"); s.Traffic != nil {
		t.Errorf("status %+v", s.Traffic)
	}
}

// TestBlueGreenMakesRoom: what is kept of the revision before goes when the next one finds no room.
func TestBlueGreenMakesRoom(t *testing.T) {
	w := newWorld(t)
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  resources: {cpu: 400}\n") // of a node's 1000
	w.progressive("{strategy: blueGreen, keep: 1h}")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	blue := w.selected()
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v2\n", "version: v2\n  args: {verbose: \"1\"}\n")
	w.commit("another argument")
	w.until(production, "v2", v1alpha1.Waiting)
	w.until(production, "v2", v1alpha1.Healthy)
	if _, there := w.workloads()[blue]; there {
		t.Error("v1 is kept")
	}
	if kept := w.status("production").Traffic.Kept; kept == "" || kept == blue {
		t.Errorf("kept %q", kept)
	}
}
