package reconciler_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// policy writes fields into an environment's file.
func (w *world) policy(env, fields string) {
	w.t.Helper()
	w.edit("environments/"+env+"/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n"+fields)
}

// waits waits until production/iris is kept back for a reason and says why.
func (w *world) waits(reason, why string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	return w.drain("production", reason+": "+why, func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Waiting && s.Reason == reason && strings.Contains(s.Message, why)
	})
}

// TestGates: a promotion waits for its gates at what is applied, and goes on by itself when they open. What was healthy
// before passes.
func TestGates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("production", "  gates:\n    metrics: {accuracy: {min: 0.9}}\n    healthyIn: {staging: 20s}\n")
	w.edit("environments/production/environment.yaml", "min: 0.9", "min: 0.5")
	w.edit("environments/production/environment.yaml", "healthyIn: {staging: 20s}", "healthyIn: {staging: 0s}")
	w.commit("gates that v1 passes")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("environments/production/environment.yaml", "min: 0.5", "min: 0.9")
	w.edit("environments/production/environment.yaml", "healthyIn: {staging: 0s}", "healthyIn: {staging: 20s}")
	w.promote("v1", "v2")
	got := w.waits("GateClosed", "iris@v2 is not healthy in staging")
	if got.Applied.Version != "v1" || !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionReady) || w.serves() != "v1" {
		t.Errorf("while it waits: %+v", got)
	}
	w.eventually("an Event", func() bool { return w.event("GateClosed", "not healthy in staging") })

	// Nothing is written again for commits that change nothing of it; what is applied is corrected meanwhile.
	before := w.release("production").ResourceVersion
	w.write("README.md", "nothing")
	w.commit("nothing")
	w.scale("iris", 3)
	w.eventually("corrected", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	if after := w.release("production"); after.Status.Reason != "GateClosed" || after.Status.Message != got.Message {
		t.Errorf("after a correction: %+v, before at %s", after.Status, before)
	}

	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("v2 in staging")
	got = w.waits("GateClosed", "wait until")
	since := meta.FindStatusCondition(w.status("staging").Conditions, v1alpha1.ConditionReady)
	w.write("README.md", "nothing else")
	w.commit("nothing else")
	w.until(production, "v2", v1alpha1.Healthy)
	if took := time.Since(since.LastTransitionTime.Time); since.Status != metav1.ConditionTrue || took < 20*time.Second {
		t.Errorf("it was healthy in staging for %s", took)
	}

	w.promote("v2", "v1")
	w.until(production, "v1", v1alpha1.Healthy) // 0.72, and nobody is kept from going back
	w.edit("models/iris/versions/v1.yaml", "accuracy: 0.72", "accuracy: 0.73")
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
	w.commit("no promotion")
	w.drain("production", "healthy with two", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Healthy && *w.deployment("iris").Spec.Replicas == 2
	})
	w.edit("models/iris/versions/v1.yaml", w.sha("v1"), w.sha("v2"))
	w.edit("models/iris/versions/v1.yaml", "files/v1/", "files/v2/")
	w.commit("other files under the same name")
	w.waits("GateClosed", "accuracy of iris@v1 is 0.73: less than 0.9")
}

// loseRelease deletes the ModelRelease of production/iris, as a cluster that is made anew has none.
func (w *world) loseRelease() {
	w.t.Helper()
	client, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	releases := client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(w.namespace("production"))
	if err := releases.Delete(w.t.Context(), v1alpha1.Name("production", "iris"), deleteNow); err != nil {
		w.t.Fatal(err)
	}
}

// sha is that of a version's file.
func (w *world) sha(version string) string {
	w.t.Helper()
	_, rest, _ := strings.Cut(w.text("models/iris/versions/"+version+".yaml"), "sha256: ")
	return rest[:64]
}

// TestGatesOfAFirstRelease: it gets a ModelRelease that says what it waits for. Where its ModelRelease was lost, Git
// remembers that it was healthy.
func TestGatesOfAFirstRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.add("second")
	w.commit("a gate, and a release that never was")
	w.loseRelease()
	w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("the new one is told to wait", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "second")
		return err == nil && mr != nil && mr.Status.Reason == "GateClosed" && mr.Status.Phase == v1alpha1.Waiting && !mr.Pending() &&
			strings.Contains(mr.Status.Message, "iris@v1 needs a file models/iris/evidence/v1/model-card.*") && mr.Status.Applied.Commit == ""
	})
	w.write("models/iris/evidence/v1/model-card.md", "It knows flowers.")
	w.commit("its card")
	w.until("production/second", "v1", v1alpha1.Healthy)
}

// TestGatesWithoutOutcomes: whether a lost release was healthy is not known then, and it waits and says so.
func TestGatesWithoutOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.commit("a gate")
	w.loseRelease()
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.waits("GateClosed", "whether this one was is not known: there are no outcomes in Git")
}

// TestGateAfterAFailure: a version that failed goes back though a newer commit, which ends its hold, is kept back.
func TestGateAfterAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	followed := make(chan gitops.Hash, 100)
	w.follow(func(c *reconciler.Config) { c.Followed = func(commit gitops.Hash, _ error) { followed <- commit } })
	w.until(production, "v1", v1alpha1.Healthy)
	w.policy("production", "  gates: {healthyIn: {staging: 0s}}\n")
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h") // v2 is still on its way when v3 comes
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Progressing)
	w.write("models/iris/versions/v14.yaml", w.text("models/iris/versions/v2.yaml"))
	w.promote("v2", "v14")
	for head := w.git("rev-parse", "HEAD"); (<-followed).String() != head; {
	}
	w.ailing(ofV2, "", 3, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.until(production, "v1", v1alpha1.RolledBack)
	got := w.waits("GateClosed", "iris@v14 is not healthy in staging")
	if got.Applied.Version != "v1" || got.Held == nil || got.Held.Version != "v2" {
		t.Errorf("%+v", got)
	}
	w.edit("environments/production/environment.yaml", "bake: 1h", "bake: 100ms")
	w.edit("releases/iris/staging.yaml", "version: v2", "version: v14")
	w.commit("v14 in staging")
	w.until(production, "v14", v1alpha1.Healthy)
}

// TestVerdictWaits: a commit that a gate keeps back is pending until it goes on.
func TestVerdictWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told, telling := w.told()
	w.follow(telling)
	w.until(production, "v1", v1alpha1.Healthy)
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.promote("v1", "v2")
	commit := w.git("rev-parse", "HEAD")
	w.waits("GateClosed", "model-card")
	w.eventually("pending", func() bool { return told.last(commit) == "pending" })
	w.write("models/iris/evidence/v2/model-card.md", "It knows flowers.")
	w.commit("its card")
	w.eventually("success", func() bool { return told.last(commit) == "success" })
}

// TestGateAfterACut: where an apply was begun and cut off, what was applied before is brought back though something newer
// is kept back.
func TestGateAfterACut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.promote("v1", "v2")
	mr := w.release("production")
	if _, err := w.cluster.Claim(t.Context(), cluster.Target{
		Namespace: mr.Namespace, Environment: "production", Release: "iris", Commit: w.git("rev-parse", "HEAD"), Version: "v2", Observed: mr,
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.kubectl().AppsV1().Deployments(mr.Namespace).Delete(t.Context(), "iris", deleteNow); err != nil {
		t.Fatal(err)
	}
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.promote("v2", "v3")
	w.follow()
	got := w.waits("GateClosed", "evidence/v3/model-card")
	if got.Applied.Version != "v1" || w.serves() != "v1" {
		t.Errorf("%+v", got)
	}
	if mr := w.release("production"); mr.Pending() {
		t.Errorf("still pending: %+v", mr.Spec.Claim)
	}
}

// TestGatesOfAnotherController: how long something was healthy where another controller works, Git tells.
func TestGatesOfAnotherController(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	only := func(env string) func(*reconciler.Config) {
		return func(c *reconciler.Config) { c.Only = []string{env} }
	}
	w.policy("production", "  gates: {healthyIn: {staging: 0s}}\n")
	w.commit("healthy in staging first")
	stop := w.follow(noting, only("production"))
	w.eventually("shown", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris")
		return err == nil && mr != nil
	})
	w.waits("GateClosed", "whether it is can't be told: this controller does not work on it, and there are no outcomes in Git")
	stop()
	if err := w.reconciler(noting, only("staging")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.follow(noting, only("production"))
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.waits("GateClosed", "iris@v2 is not healthy in staging")
}
