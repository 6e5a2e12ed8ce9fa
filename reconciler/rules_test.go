package reconciler_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// failures counts how often a revision of production/iris failed, as far back as its outcomes tell.
func failures(s v1alpha1.ModelReleaseStatus) (n int) {
	for _, o := range s.Outcomes {
		if o.Outcome == v1alpha1.Failed {
			n++
		}
	}
	return n
}

// TestLastHealthyIsNotThePrevious: a revision that was replaced before it was healthy is nothing to go back to.
func TestLastHealthyIsNotThePrevious(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	healthy := w.status("production").Healthy.Commit
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h")
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Progressing)
	w.promote("v2", "v3") // its simulated pods crash
	w.until(production, "v1", v1alpha1.RolledBack)
	if got := w.status("production"); got.Applied.Commit != healthy || got.Held.Version != "v3" || w.serves() != "v1" {
		t.Errorf("%+v", got)
	}
}

// TestOthersAreUntouched: of the releases that one commit changes, the one that fails goes back alone.
func TestOthersAreUntouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second", "third")
	w.commit("three releases")
	w.follow()
	w.all("iris", "second", "third")
	third := w.deployment("third").Generation
	w.edit("releases/second/production.yaml", "version: v1", "version: v2")
	w.promote("v1", "v3") // its simulated pods crash
	bad := w.git("rev-parse", "HEAD")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.eventually("second healthy at the commit", func() bool { s := w.of("second"); return s.Phase == v1alpha1.Healthy && s.Healthy.Commit == bad })
	if got := w.of("second"); got.Applied.Version != "v2" || got.Held != nil || failures(got) > 0 || w.deployment("third").Generation != third {
		t.Errorf("second: %+v", got)
	}
}

// TestHoldEnds with each change of the release's own files, also one that leaves nothing changed by the time it is seen,
// and with no other.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		ends   bool
	}{
		"revert-and-its-revert": {func(w *world) {
			w.git("revert", "--no-edit", "HEAD")
			w.git("revert", "--no-edit", "HEAD")
		}, true},
		"a-change-and-its-opposite": {func(w *world) {
			w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
			w.commit("two")
			w.edit("releases/iris/serving.yaml", "replicas: 2", "replicas: 1")
			w.commit("one")
		}, true},
		"the-version": {func(w *world) {
			w.edit("models/iris/versions/v3.yaml", "kind: ModelVersion", "kind: ModelVersion # looked at")
			w.commit("a comment")
		}, true},
		"shared-changes": {func(w *world) {
			w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
			w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 200ms")
			w.edit("models/iris/model.yaml", "kind: Model\n", "kind: Model # looked at\n")
			w.commit("shared")
		}, false},
		"another-release": {func(w *world) {
			w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
			w.commit("staging")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stop := w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			w.promote("v1", "v3") // its simulated pods crash
			w.until(production, "v1", v1alpha1.RolledBack)
			before := w.status("production")
			stop()
			c.change(w)
			if err := w.reconciler().Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, want := w.status("production"), failures(before)
			if c.ends {
				want++
			}
			if failures(got) != want || got.Held == nil || got.Phase != v1alpha1.RolledBack || w.serves() != "v1" {
				t.Errorf("failed %d times, want %d: %+v", failures(got), want, got)
			}
		})
	}
}

// ofV2 selects the pods of iris at v2.
const ofV2 = cluster.LabelRelease + "=iris,davit.dev/version=v2"

// TestTroubleOfNodesPasses: credentials that expired and a node that is lost say nothing of a revision, however new.
func TestTroubleOfNodesPasses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ail    func(w *world)
		reason string
	}{
		"credentials": {func(w *world) {
			w.ailing(ofV2, "", 0, corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "pull access denied: 401 Unauthorized"})
		}, "ImagePullBackOff"},
		"node": {func(w *world) { w.lose(ofV2) }, "NodeLost"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h")
			w.promote("v1", "v2")
			w.until(production, "v2", v1alpha1.Progressing)
			c.ail(w)
			r := w.any(v1alpha1.Waiting, v1alpha1.Failed, v1alpha1.RolledBack)
			if got := w.status("production"); r.Phase != v1alpha1.Waiting || r.Reason != c.reason || got.Held != nil || failures(got) > 0 || w.serves() != "v2" {
				t.Errorf("%+v, %+v", r, got)
			}
		})
	}
}

// lose has a running pod with a label look as on a node that does not report: its containers ready, itself not.
func (w *world) lose(label string) {
	w.t.Helper()
	pods := w.kubectl().CoreV1().Pods(w.namespace("production"))
	w.eventually("a ready pod of "+label, func() bool {
		list, err := pods.List(w.t.Context(), metav1.ListOptions{LabelSelector: label})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, pod := range list.Items {
			if len(pod.Status.ContainerStatuses) == 0 || !pod.Status.ContainerStatuses[0].Ready {
				continue
			}
			body, err := json.Marshal(map[string]any{"status": corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}})
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := pods.Patch(w.t.Context(), pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
				w.t.Fatal(err)
			}
			return true
		}
		return false
	})
}

// TestNoRoomForMoreGPUs: no node having room is the revision's fault when it asks for more GPUs than the one before, and
// that alone.
func TestNoRoomForMoreGPUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second")
	w.edit("releases/iris/serving.yaml", "startupTimeout: 60s", "startupTimeout: 2s")
	w.edit("releases/second/serving.yaml", "startupTimeout: 60s", "startupTimeout: 1s")
	w.commit("little patience")
	w.follow()
	w.all("iris", "second")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2\n  accelerator: gpu\n  gpus: 1")
	w.edit("releases/second/production.yaml", "version: v1", "version: v2\n  resources: {cpu: 100000}")
	w.commit("more than there is")
	w.until(production, "v1", v1alpha1.RolledBack)
	got := w.status("production")
	if got.Held == nil || !strings.Contains(got.Held.Reason, "it asks for more GPUs than v1, and there was no room for 2s") {
		t.Errorf("iris: %+v", got)
	}
	w.eventually("second waits for room", func() bool {
		got := w.of("second")
		return got.Phase == v1alpha1.Waiting && got.Reason == "Unschedulable" && got.Held == nil && got.Applied.Version == "v2"
	})
}
