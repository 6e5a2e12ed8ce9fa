package reconciler_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/render"
)

func (w *world) canaried(rollout string) {
	w.t.Helper()
	w.edit("environments/production/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: [gatewayAPI]}`)
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  route: {hostname: iris.example.com, gateway: gateways/public}\n")
	w.progressive(rollout)
}

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
			parts := backends(route)
			for i, part := range parts {
				name, weight, _ := strings.Cut(part, " ")
				if letters[name] == "" {
					letters[name] = string(rune('a' + len(letters)))
				}
				parts[i] = letters[name] + " " + weight
			}
			h.add(strings.Join(parts, ", "))
		}
	}()
	w.t.Cleanup(func() {
		watching.Stop()
		if w.t.Failed() {
			w.t.Logf("weights %v", h.all())
		}
	})
	return h
}

// backends are those that a route leads to, each as "NAME WEIGHT".
func backends(route *unstructured.Unstructured) (out []string) {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	refs, _ := rules[0].(map[string]any)["backendRefs"].([]any)
	for _, ref := range refs {
		b := ref.(map[string]any)
		out = append(out, fmt.Sprintf("%s %v", b["name"], b["weight"]))
	}
	return out
}

// shares waits until the weights were these, in this order: they are watched, so a report may come before them.
func (w *world) shares(h *history, want ...string) {
	w.t.Helper()
	w.eventually(strings.Join(want, "; "), func() bool { return slices.Equal(h.all(), want) })
}

func TestCanary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 5s")
	w.canaried("{strategy: canary, keep: 1m, steps: [{weight: 20, pause: 6s}, {weight: 60}]}") // longer than the bake: it does not count
	h := w.weights()
	w.follow()
	w.accept(300 * time.Millisecond)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	turned := w.reason(production, "TrafficTurned")
	if healthy := w.until(production, "v2", v1alpha1.Healthy); healthy.Took-turned.Took < time.Second {
		t.Errorf("baked for %s with all the traffic", healthy.Took-turned.Took)
	}
	want := []string{"a 100", "a 80, b 20", "a 40, b 60", "b 100"}
	w.shares(h, want...)

	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	want = append(want, "a 100")
	w.shares(h, want...)
}

func TestCanaryAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	stable := w.selected()
	w.promote("v1", "v2")
	status := w.drain("production", "a canary", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Canary" })
	if status.Message != "step 1 of 1: v2 has 20% of the traffic for 1h0m0s" || status.Traffic.Weight != 20 {
		t.Errorf("status %+v, %+v", status.Message, status.Traffic)
	}
	w.ailing(render.RolloutLabel+"="+status.Traffic.Next, "", 3, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.until(production, "v2", v1alpha1.Failed)
	route, err := dynamic.NewForConfigOrDie(restConfig(t)).Resource(routes).Namespace(w.namespace("production")).Get(t.Context(), "iris", get)
	if err != nil || !slices.Equal(backends(route), []string{"iris-" + stable + " 100"}) {
		t.Errorf("failed with the traffic at %+v, %v", route, err)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
	w.eventually("the canary deleted", func() bool { all := w.workloads(); _, ok := all[stable]; return len(all) == 1 && ok })
	w.shares(h, "a 100", "a 80, b 20", "a 100")
}

func TestCanarySuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20}, {weight: 60, pause: 1h}]}")
	h := w.weights()
	stop := w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.drain("production", "at the second step", func(s v1alpha1.ModelReleaseStatus) bool { return s.Traffic.Step == 2 })
	w.eventually("with its share", func() bool { return slices.Contains(h.all(), "a 40, b 60") }) // the status is written first
	stop()
	w.follow()
	w.edit("releases/iris/production.yaml", "version: v2\n", "version: v2\n  args: {verbose: \"1\"}\n")
	w.commit("another argument")
	w.drain("production", "at the second step again", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Traffic.Step == 2 && !strings.HasSuffix(s.Applied.Commit, w.git("rev-parse", "HEAD~1"))
	})
	want := []string{"a 100", "a 80, b 20", "a 40, b 60", "a 100", "a 80, c 20", "a 40, c 60"}
	w.shares(h, want...)
}

func (w *world) accept(late time.Duration) {
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
			select {
			case <-time.After(late):
			case <-w.t.Context().Done():
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

func TestCanarySmokeTest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var broken atomic.Bool
	var asked history
	w.answering(func(service string) int {
		asked.add(service)
		if broken.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 20s}, {weight: 60, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	status := w.drain("production", "a canary", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Canary" })
	if got := asked.all(); got[len(got)-1] != "iris-"+status.Traffic.Next+":80" {
		t.Errorf("asked %v, and the canary is %s", got, status.Traffic.Next)
	}
	broken.Store(true)
	w.until(production, "v2", v1alpha1.Failed)
	broken.Store(false)
	w.until(production, "v1", v1alpha1.RolledBack)
	w.shares(h, "a 100", "a 80, b 20", "a 100")
}

func TestCanaryPauses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	status := w.drain("production", "a canary", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Canary" })
	canary := render.RolloutLabel + "=" + status.Traffic.Next
	w.ailing(canary, "", 1, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.shares(h, "a 100", "a 80, b 20", "a 100")
	pods := w.kubectl().CoreV1().Pods(w.namespace("production"))
	if err := pods.DeleteCollection(t.Context(), deleteNow, metav1.ListOptions{LabelSelector: canary}); err != nil {
		t.Fatal(err)
	}
	w.shares(h, "a 100", "a 80, b 20", "a 100", "a 80, b 20")
}

// TestCanaryPausesLater: a share that can't be taken back at once, since the API server fails, is taken back then.
func TestCanaryPausesLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var failures atomic.Int32
	config := restConfig(t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPatch || !strings.HasSuffix(r.URL.Path, "/httproutes/iris") || failures.Add(-1) < 0 {
				return next.RoundTrip(r)
			}
			return &http.Response{StatusCode: http.StatusInternalServerError, Body: io.NopCloser(strings.NewReader("etcd has no leader")), Request: r}, nil
		})
	})
	var err error
	if w.cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: w.id}); err != nil {
		t.Fatal(err)
	}
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	status := w.drain("production", "a canary", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Canary" })
	failures.Store(1)
	w.ailing(render.RolloutLabel+"="+status.Traffic.Next, "", 1, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.shares(h, "a 100", "a 80, b 20", "a 100")
	if failures.Load() > 0 {
		t.Error("nothing failed")
	}
}

// TestCanaryKeepsItsWeights: somebody's edit of the route is taken back during a step.
func TestCanaryKeepsItsWeights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.reason(production, "Canary")
	w.shares(h, "a 100", "a 80, b 20")
	client, err := dynamic.NewForConfig(restConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	edit := []byte(`[{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 80}]`)
	if _, err := client.Resource(routes).Namespace(w.namespace("production")).Patch(t.Context(), "iris", types.JSONPatchType, edit, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	w.eventually("taken back", func() bool {
		return slices.Equal(h.all(), []string{"a 100", "a 80, b 20", "a 80, b 80", "a 80, b 20"})
	})
}

// TestCanaryBeforeAFault: a canary whose successor can't be built has no traffic while that is told.
func TestCanaryBeforeAFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "onFailure: rollback", "onFailure: hold")
	w.damage("v3")
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.reason(production, "Canary")
	w.promote("v2", "v3")
	w.until(production, "v3", v1alpha1.Failed)
	w.shares(h, "a 100", "a 80, b 20", "a 100")
}
