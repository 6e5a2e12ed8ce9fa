package web_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/monitor/promtest"
	"github.com/davit-dev/davit/reconciler/web"
)

// canary is a registry of iris at v1, which gets new versions step by step in production, behind a real gateway.
func (w *world) canary() {
	w.t.Helper()
	w.iris("canary")
	w.edit("environments/production/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: [gatewayAPI]}`)
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  route: {hostname: canary.example.com, gateway: "+devcluster.PublicGateway+"}\n"+
		"  rollout: {strategy: canary, keep: 1m, steps: [{weight: 20, pause: 10s}, {weight: 60, pause: 20s}],\n"+
		"    checks: [p95(ttft) < 800ms, errors < 1%], minSamples: 40}\n")
	w.edit("runtimes/iris-server/0.1.0/runtime.yaml", "  service: runtime\n", `  service: runtime
  metrics:
    requests: [{counter: "vllm:request_success_total"}, {counter: http_requests_total, where: {status: 5xx}}]
    errors: [{counter: http_requests_total, where: {status: 5xx}}]
    ttft: {histogram: "vllm:time_to_first_token_seconds"}
`)
	w.git("init", "-q", "-b", "main")
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "iris at v1, by steps")
}

// measured has the pods in a namespace scraped by a real Prometheus; a stand-in says for simulated pods that they serve well.
func (w *world) measured(namespace string) {
	w.t.Helper()
	well := promtest.Behaviour{Requests: 20, TTFT: 80 * time.Millisecond, Latency: 400 * time.Millisecond}
	ctx := w.t.Context()
	client, err := kubernetes.NewForConfig(up(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	server := promtest.Start(w.t, &promtest.Models{
		Behaves: func(promtest.Pod) promtest.Behaviour { return well },
		Pods: func() (out []promtest.Pod) {
			all, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil // the test ends
			}
			for _, p := range all.Items {
				out = append(out, promtest.Pod{Namespace: namespace, Name: p.Name})
			}
			return out
		},
	})
	if w.prometheus, err = monitor.New(monitor.Config{URL: server.URL}); err != nil {
		w.t.Fatal(err)
	}
}

// TestCanary looks on while a version gets its traffic: a page that nobody reloads tells each step, its share and what is to come,
// and so does the fleet. DAVIT_SCREENSHOTS names a folder that keeps pictures.
func TestCanary(t *testing.T) {
	w := &world{t: t}
	w.measured("canary-production")
	w.begin(w.canary, "canary", web.Config{})
	w.until("iris is healthy in both", func() bool {
		r := w.data.Releases(fleet.Viewer{}, name, fleet.Query{State: string(fleet.Well)})
		return r != nil && r.States[5].Count == 2
	})
	b := open(t)
	b.at(w.url+"/"+name+"/releases/production/iris", "light", 1400, "h1 .tag.healthy")
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v2\n")
	w.git("commit", "-qam", "iris v2 to production")
	b.sees("#head .tag", "moving")
	b.sees("#revisions .steps [aria-current=step]", "20 %")
	b.sees("#revisions meter", "20 %")
	b.sees("#head .sub", "Canary")
	b.sees("#revisions .checks", "p95(ttft) < 800ms")
	b.sees("#pods tr", "v2")
	b.picture("canary-1")
	if news := b.tells(`document.getElementById("news").textContent`); news == "" {
		t.Error("nothing is told of it to who does not see it")
	}
	b.sees("#revisions .steps .done", "20 %")
	b.sees("#revisions .steps [aria-current=step]", "60 %")
	b.picture("canary-2")
	b.at(w.url+"/"+name, "dark", 1400, "table.fleet td.moving")
	b.sees("td[data-key='production/iris']", "60 %")
	b.picture("canary-fleet")
	b.at(w.url+"/"+name+"/releases/production/iris", "dark", 1400, "h1 .tag")
	b.sees("#head .tag", "healthy")
	b.sees("#revisions", "runs on until")
	b.comes(`document.querySelectorAll("#revisions .steps").length`, "0")
	b.picture("canary-3")
}
