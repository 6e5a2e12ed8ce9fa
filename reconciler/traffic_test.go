package reconciler_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
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
// weights watches how the route of iris shares the traffic out. Rollouts go by the letters a, b, …
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.progressive("{strategy: blueGreen, keep: 25s}")
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
	t.Parallel()
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

// TestBlueGreenRefused: where nothing of a version was taken, what serves stays as it is, also when the version is reverted.
func TestBlueGreenRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.progressive("{strategy: blueGreen}")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	blue := w.selected()
	before, traffic := w.workloads()[blue], w.status("production").Traffic
	w.write("releases/iris/production/kustomization.yaml", `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: Deployment}
    patch: |-
      - {op: replace, path: /spec/template/spec/containers/0/ports/0/containerPort, value: 99999}
`)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Held)
	if got := w.status("production").Traffic; *got != *traffic {
		t.Errorf("the status has the traffic at %+v, was %+v", got, traffic)
	}
	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	if after := w.workloads()[blue]; after.UID != before.UID || w.selected() != blue {
		t.Errorf("the Service leads to %s of %v", w.selected(), w.workloads())
	}
}

// TestBlueGreenFailsWithTraffic: what fails while it bakes is not kept.
func TestBlueGreenFailsWithTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.progressive("{strategy: blueGreen}")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	blue := w.selected()
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h")
	w.promote("v1", "v2")
	w.reason(production, "TrafficTurned")
	green := w.selected()
	w.ailing(render.RolloutLabel+"="+green, "", 3, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.until(production, "v2", v1alpha1.Failed)
	w.until(production, "v1", v1alpha1.RolledBack)
	if _, there := w.workloads()[green]; there || w.selected() != blue {
		t.Errorf("the Service leads to %s of %v", w.selected(), w.workloads())
	}
}

// TestCanaryAborted: when the new version breaks under its share of the traffic, the share goes back before anything
// else is done.
// TestCanarySuperseded: a newer commit takes the share of a canary that is under way, and a new process goes on with
// the step where the old one was.
// reason waits for a report with that reason.
func (w *world) reason(release, reason string) reconciler.Report {
	w.t.Helper()
	for deadline := time.After(120 * time.Second); ; {
		select {
		case r := <-w.reports:
			if r.Key.String() == release && r.Reason == reason {
				return r
			}
		case <-deadline:
			w.t.Fatalf("%s did not report %s", release, reason)
		}
	}
}

// accept stands in for a gateway: it says of every route, some time after it changed, that it took it, and moves no
// traffic.
// TestStrategyChanges: from a workload that revisions share to one for each, and back, with somebody ready all the time.
func TestStrategyChanges(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

// TestCanarySmokeTest: the smoke test passes before the canary has traffic, and fails with some.
// TestCanaryPauses: a canary that is not ready for a while has no traffic meanwhile, and begins its step anew.
