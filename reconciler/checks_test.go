package reconciler_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/monitor/promtest"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The ways a version serves.
var (
	fast = promtest.Behaviour{Requests: 20, TTFT: 80 * time.Millisecond, Latency: 400 * time.Millisecond, Tokens: 2000}
	slow = promtest.Behaviour{Requests: 20, TTFT: 2 * time.Second, Latency: 4 * time.Second, Tokens: 200}
	rare = promtest.Behaviour{Requests: 1, TTFT: 80 * time.Millisecond, Latency: 400 * time.Millisecond}
)

// traffic stands in for GPU servers in production's pods: each version serves as it is told to.
type traffic struct {
	mu       sync.Mutex
	versions map[promtest.Pod]string
	behaves  map[string]promtest.Behaviour
}

func (f *traffic) set(version string, b promtest.Behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaves[version] = b
}

// serving has pods scraped by a real Prometheus, and its runtime name its metrics.
func (w *world) serving(behaves map[string]promtest.Behaviour) (*traffic, *promtest.Server, func(*reconciler.Config)) {
	w.t.Helper()
	w.edit("runtimes/iris-server/0.1.0/runtime.yaml", "  service: runtime\n", `  service: runtime
  metrics:
    requests: [{counter: "vllm:request_success_total"}, {counter: http_requests_total, where: {status: 5xx}}]
    errors: [{counter: http_requests_total, where: {status: 5xx}}]
    latency: {histogram: "vllm:e2e_request_latency_seconds"}
    ttft: {histogram: "vllm:time_to_first_token_seconds"}
    tokens: [{counter: "vllm:generation_tokens_total"}]
`)
	f := &traffic{versions: map[promtest.Pod]string{}, behaves: behaves}
	client, ctx, namespace := w.kubectl(), w.t.Context(), w.namespace("production")
	server := promtest.Start(w.t, &promtest.Models{
		Pods: func() (out []promtest.Pod) {
			list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"})
			if err != nil {
				return nil // the test ends
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, p := range list.Items {
				pod := promtest.Pod{Namespace: namespace, Name: p.Name}
				f.versions[pod] = p.Labels["davit.dev/version"]
				out = append(out, pod)
			}
			return out
		},
		Behaves: func(p promtest.Pod) promtest.Behaviour {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.behaves[f.versions[p]]
		},
	})
	prometheus, err := monitor.New(monitor.Config{URL: server.URL})
	if err != nil {
		w.t.Fatal(err)
	}
	return f, server, func(cfg *reconciler.Config) { cfg.Prometheus, cfg.MetricsInterval = prometheus, 2*time.Second }
}

// checked is a canary whose first version serves.
func (w *world) checked(rollout string, asks func(*reconciler.Config)) *history {
	w.t.Helper()
	w.canaried(rollout)
	h := w.weights()
	w.follow(asks)
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	return h
}

func TestChecksFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, asks := w.serving(map[string]promtest.Behaviour{"v1": fast, "v2": slow})
	h := w.checked(`{strategy: canary, steps: [{weight: 20, pause: 1h}], checks: [p95(ttft) < 800ms, errors < 1%, tokens > 1/s], minSamples: 40}`, asks)
	w.promote("v1", "v2")
	failed := w.until(production, "v2", v1alpha1.Failed)
	if failed.Reason != reconciler.ReasonCheckFailed || !strings.HasPrefix(failed.Message, "p95(ttft) was 2.4") ||
		!strings.Contains(failed.Message, " requests in ") || !strings.HasSuffix(failed.Message, ", want < 800ms") {
		t.Errorf("failed by %s: %s", failed.Reason, failed.Message)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
	w.shares(h, "a 100", "a 80, b 20", "a 100")
	if st := w.status("production"); st.Held == nil || !strings.HasPrefix(st.Held.Reason, "CheckFailed: p95(ttft) was ") {
		t.Errorf("held %+v", st.Held)
	}
}

// TestChecksPass: a good version goes on by all steps; changing the checks then rolls nothing.
func TestChecksPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, asks := w.serving(map[string]promtest.Behaviour{"v1": slow, "v2": fast})
	h := w.checked(`{strategy: canary, steps: [{weight: 20, pause: 3s}, {weight: 60, pause: 3s}], checks: [p95(ttft) < 800ms, errors < 1%, tokens > 1/s, p95(latency) < 1.2 * stable], minSamples: 40}`, asks)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.shares(h, "a 100", "a 80, b 20", "a 40, b 60", "b 100")
	before := w.status("production")
	w.edit("releases/iris/production.yaml", "p95(ttft) < 800ms", "p95(ttft) < 1ms")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("a check that it does not pass")
	w.until(staging, "v2", v1alpha1.Healthy)
	if after := w.status("production"); after.Applied.ObjectsHash != before.Applied.ObjectsHash || after.Phase != v1alpha1.Healthy || after.Held != nil {
		t.Errorf("a changed check rolled %s to %s: %s", before.Applied.ObjectsHash, after.Applied.ObjectsHash, after.Phase)
	}
}

// TestChecksBesideStable: slower than what serves, though not slow.
func TestChecksBesideStable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slower := fast
	slower.TTFT = 400 * time.Millisecond
	_, _, asks := w.serving(map[string]promtest.Behaviour{"v1": fast, "v2": slower})
	w.checked(`{strategy: canary, steps: [{weight: 20, pause: 1h}], checks: [p95(ttft) < 1.5 * stable], minSamples: 40}`, asks)
	w.promote("v1", "v2")
	failed := w.until(production, "v2", v1alpha1.Failed)
	if !strings.Contains(failed.Message, "want < 1.5 * stable (14") { // 1.5 times the 97.5 ms of a bucket from 50 to 100
		t.Errorf("failed by %s: %s", failed.Reason, failed.Message)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
}

// TestChecksWait: until enough requests were seen the canary has its step's share and no more.
func TestChecksWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pods, _, asks := w.serving(map[string]promtest.Behaviour{"v1": fast, "v2": rare})
	h := w.checked(`{strategy: canary, steps: [{weight: 20, pause: 1s}], checks: [p95(ttft) < 800ms], minSamples: 1000}`, asks)
	w.promote("v1", "v2")
	status := w.drain("production", "waiting for requests", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "TooFewRequests" })
	if status.Phase != v1alpha1.Waiting || !strings.HasSuffix(status.Message, " of 1000 requests to v2 that its checks want to see") {
		t.Errorf("%s: %s", status.Phase, status.Message)
	}
	w.drain("production", "counting", func(s v1alpha1.ModelReleaseStatus) bool {
		seen, _, _ := strings.Cut(s.Message, " of 1000 ")
		n, _ := strconv.Atoi(seen)
		return n >= 2
	})
	w.shares(h, "a 100", "a 80, b 20")
	many := fast
	many.Requests = 1000
	pods.set("v2", many)
	w.until(production, "v2", v1alpha1.Healthy)
}

// TestChecksWithoutPrometheus: whatever ails it is no fault of the revision, which neither fails nor goes on.
func TestChecksWithoutPrometheus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, server, asks := w.serving(map[string]promtest.Behaviour{"v1": fast, "v2": fast})
	h := w.checked(`{strategy: canary, steps: [{weight: 20, pause: 1s}], checks: [p95(ttft) < 800ms], minSamples: 10}`, asks)
	server.Stop()
	w.promote("v1", "v2")
	status := w.drain("production", "waiting for Prometheus", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "PrometheusUnreachable" })
	if status.Phase != v1alpha1.Waiting || status.Held != nil || !strings.Contains(status.Message, "connection refused") {
		t.Errorf("%s: %s", status.Phase, status.Message)
	}
	w.eventually("still waiting", func() bool { return time.Since(status.Traffic.Since.Time) > 5*time.Second })
	if got := h.all(); !slices.Equal(got, []string{"a 100", "a 80, b 20"}) || w.status("production").Phase != v1alpha1.Waiting {
		t.Errorf("weights %v, %s", got, w.status("production").Phase)
	}
}

// TestChecksNeedAPrometheus: a person is told where to name one.
func TestChecksNeedAPrometheus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serving(map[string]promtest.Behaviour{})
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  rollout: {checks: [errors < 1%]}\n")
	w.commit("checked")
	w.follow()
	w.until(production, "v1", v1alpha1.Waiting)
	status := w.status("production")
	if status.Reason != "NoPrometheus" || !strings.Contains(status.Message, "spec.environments") || !strings.Contains(status.Message, "--prometheus") {
		t.Errorf("%s: %s", status.Reason, status.Message)
	}
}

// TestChecksWhileBaking: where revisions share the workload, the new one's own pods are judged while it bakes.
func TestChecksWhileBaking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 12s")
	failing := fast
	failing.Errors = 5
	_, _, asks := w.serving(map[string]promtest.Behaviour{"v1": fast, "v2": failing})
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  rollout: {checks: [errors < 1%], minSamples: 40}\n")
	w.commit("checked")
	w.follow(asks)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	failed := w.until(production, "v2", v1alpha1.Failed)
	if failed.Reason != reconciler.ReasonCheckFailed || !strings.HasPrefix(failed.Message, "errors was ") || !strings.Contains(failed.Message, "%") {
		t.Errorf("failed by %s: %s", failed.Reason, failed.Message)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
}

// TestServingMetricsInStatus: they come, and go with the Prometheus.
func TestServingMetricsInStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, asks := w.serving(map[string]promtest.Behaviour{"v1": fast})
	w.commit("metrics named")
	stop := w.follow(asks)
	w.until(production, "v1", v1alpha1.Healthy)
	status := w.drain("production", "with numbers", func(s v1alpha1.ModelReleaseStatus) bool {
		if s.Serving == nil {
			return false
		}
		n, _ := strconv.ParseFloat(s.Serving.Requests, 64)
		return n > 0 && s.Serving.TTFT != ""
	})
	m := status.Serving
	tokens, _ := strconv.ParseFloat(m.Tokens, 64)
	requests, _ := strconv.ParseFloat(m.Requests, 64)
	latency, _ := strconv.ParseFloat(m.Latency, 64) // 0.4875, and Prometheus' sums end in either of its neighbours
	if m.Errors != "0" || m.TTFT != "0.0975" || latency < 0.487 || latency > 0.488 || tokens < 80*requests || tokens > 120*requests || m.Message != "" || status.Phase != v1alpha1.Healthy {
		t.Errorf("%+v", m)
	}
	stop()
	w.follow(func(cfg *reconciler.Config) { cfg.MetricsInterval = 2 * time.Second })
	w.drain("production", "without numbers", func(s v1alpha1.ModelReleaseStatus) bool { return s.Serving == nil })
}
