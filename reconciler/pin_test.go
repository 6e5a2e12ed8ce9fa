package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pin pins production/iris, as davit rollback does, and returns when that was written.
func (w *world) pin(commit, version string) time.Time {
	w.t.Helper()
	p := &v1alpha1.Pin{
		Commit: w.git("rev-parse", commit), Version: version, Tip: w.git("rev-parse", "HEAD"), By: "ada", Reason: "wrong answers", At: metav1.NowMicro(),
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Pin = p })
	return time.Now()
}

// serves says which version production's pods are to be of.
func (w *world) serves() string {
	return w.deployment("iris").Spec.Template.Labels["davit.dev/version"]
}

// pinnedAt waits until production is healthy where it was pinned.
func (w *world) pinnedAt(version string) v1alpha1.ModelReleaseStatus {
	w.t.Helper()
	return w.drain("production", "healthy and pinned to "+version, func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Healthy && s.Reason == "Pinned" && s.Applied.Version == version && s.Healthy.Version == version
	})
}

// unpinned waits until the controller took the pin out of the spec.
func (w *world) unpinned() {
	w.t.Helper()
	w.eventually("no longer pinned", func() bool { return w.release("production").Spec.Pin == nil })
}

// TestPin goes back to what a person chose with no commit, stays there through drift, others' commits, shared changes and
// a restart that writes nothing, and ends with the next change of the release's own files, without effect as it may be.
func TestPin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent := &requests{}
	config := rest.CopyConfig(restConfig(t))
	config.Wrap(sent.wrap)
	counted, err := cluster.New(t.Context(), cluster.Config{REST: config, Owner: w.id})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *reconciler.Config) { c.Cluster = counted }
	stop := w.follow(with)
	first := w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2\n  replicas: 2")
	w.commit("promote v2, and more of it")
	w.until(production, "v2", v1alpha1.Healthy)
	began := w.pin("HEAD~1", "")
	applied := w.eventually("v1 applied", func() bool { return w.serves() == "v1" })
	t.Logf("applied %s after the pin was written", applied)
	got := w.pinnedAt("v1")
	t.Logf("healthy %s after", time.Since(began))
	if got.Applied.Image != first.Image || got.Pinned != "v1 at "+first.Commit[:12] || !strings.Contains(got.Message, "by ada (wrong answers); it ends with") {
		t.Errorf("pinned: %+v", got)
	}
	if *w.deployment("iris").Spec.Replicas != 1 {
		t.Error("only the version went back")
	}
	w.eventually("told in an Event", func() bool { return w.event("Pinned", "pinned to v1 at") })

	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("a shared change, and staging's own")
	w.until(staging, "v2", v1alpha1.Healthy)
	w.scale("iris", 3)
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	if got := w.status("production"); got.Reason != "Pinned" || got.Applied.Version != "v1" || *w.deployment("iris").Spec.Template.Spec.TerminationGracePeriodSeconds != 10 {
		t.Errorf("after a shared change: %+v", got)
	}
	w.eventually("settled", func() bool {
		mr := w.release("production")
		return !mr.Pending() && mr.Status.ObservedGeneration == mr.Generation
	})
	stop()
	sent.take()
	if err := w.reconciler(with).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sent.take(); len(got) > 0 {
		t.Errorf("a restart in sync sent %v", got)
	}

	// A change and its opposite arrive in one fetch.
	w.edit("releases/iris/production.yaml", "replicas: 2", "replicas: 4")
	w.commit("a change")
	w.git("revert", "--no-edit", "HEAD")
	w.follow(with)
	w.unpinned()
	w.until(production, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Pinned != "" || got.Reason != "Healthy" || got.Held != nil {
		t.Errorf("after the pin: %+v", got)
	}
	w.eventually("told in an Event", func() bool { return w.event("PinEnded", "no longer pinned to v1 at") })
}

// TestPinResumed: davit resume takes the pin away, and what the branch asks for is applied.
func TestPinResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{By: "grace"} })
	w.pin("HEAD~1", "")
	w.eventually("answered", func() bool { mr := w.release("production"); return mr.Status.ObservedGeneration == mr.Generation })
	if w.serves() != "v2" {
		t.Error("a suspended release went where it was pinned")
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = nil })
	w.pinnedAt("v1")
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Pin, s.Request = nil, &v1alpha1.Request{Action: v1alpha1.Resume, At: metav1.NowMicro()}
	})
	w.until(production, "v2", v1alpha1.Healthy)
	if mr := w.release("production"); mr.Spec.Pin != nil || mr.Status.Pinned != "" || mr.Status.Reason != "Healthy" {
		t.Errorf("after resume: %+v", mr)
	}
	// What is pinned already is told, and nothing is sent.
	generation := w.deployment("iris").Generation
	w.pin("HEAD", "")
	w.pinnedAt("v2")
	if after := w.deployment("iris").Generation; after != generation {
		t.Errorf("generation %d, was %d", after, generation)
	}
}

// TestPinVersion changes the version alone; what comes after goes back there, and not to the version of its commit.
func TestPinVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2 # the new one\n  replicas: 2")
	w.commit("promote v2, and more of it")
	w.until(production, "v2", v1alpha1.Healthy)
	w.pin("HEAD", "v1")
	got := w.pinnedAt("v1")
	if d := w.deployment("iris"); *d.Spec.Replicas != 2 || w.serves() != "v1" || got.Applied.Commit != w.git("rev-parse", "HEAD") {
		t.Errorf("%d replicas of %s, %+v", *d.Spec.Replicas, w.serves(), got.Applied)
	}
	w.edit("releases/iris/production.yaml", "version: v2", "version: v3") // its simulated pods crash
	w.commit("promote v3")
	w.unpinned()
	w.until(production, "v1", v1alpha1.RolledBack)
	if d := w.deployment("iris"); *d.Spec.Replicas != 2 || w.serves() != "v1" {
		t.Errorf("rolled back to %d replicas of %s", *d.Spec.Replicas, w.serves())
	}
	// The commit that asks for what is pinned changes nothing but who asks.
	w.pin("HEAD", "v2")
	w.pinnedAt("v2")
	generation := w.deployment("iris").Generation
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("what was pinned")
	w.unpinned()
	w.drain("production", "healthy", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Healthy" && s.Pinned == "" })
	if after := w.deployment("iris").Generation; after != generation {
		t.Errorf("generation %d, was %d", after, generation)
	}
}

// TestPinWhile: a pin acts whatever else goes on with the release.
func TestPinWhile(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(w *world){
		"rolled-back": func(w *world) { w.promote("v2", "v3"); w.until(production, "v2", v1alpha1.RolledBack) },
		"broken": func(w *world) {
			w.edit("releases/iris/production.yaml", "version: v2", "verison: v2")
			w.commit("a slip of the pen")
		},
		"failed": func(w *world) {
			w.edit("environments/production/environment.yaml", "onFailure: rollback", "onFailure: hold")
			w.promote("v2", "v3")
			w.until(production, "v3", v1alpha1.Failed)
		},
		"progressing": func(w *world) {
			w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h")
			w.edit("releases/iris/production.yaml", "version: v2", "version: v2\n  resources: {cpu: 100000}")
			w.commit("no room")
			w.drain("production", "waiting for a node", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Unschedulable" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			good := w.git("rev-parse", "HEAD")
			w.promote("v1", "v2")
			w.until(production, "v2", v1alpha1.Healthy)
			before(w)
			w.pin(good, "")
			if got := w.pinnedAt("v1"); got.Held != nil || w.serves() != "v1" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestPinDuringCanary takes the traffic back at once.
func TestPinDuringCanary(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.canaried("{strategy: canary, steps: [{weight: 20, pause: 1h}]}")
	h := w.weights()
	w.follow()
	w.accept(0)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.eventually("a canary", func() bool { all := h.all(); return all[len(all)-1] == "a 80, b 20" })
	w.pin("HEAD~1", "")
	w.pinnedAt("v1")
	w.shares(h, "a 100", "a 80, b 20", "a 100")
}

// TestPinDuringABuild does not wait for weights that take for ever to come.
func TestPinDuringABuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := w.endless()
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v9")
	<-asked
	w.pin("HEAD", "v2")
	w.pinnedAt("v2")
	w.pin("HEAD", "v9")
	<-asked
	w.pin("HEAD", "v1")
	w.pinnedAt("v1")
}

// TestPinHoldsUpNobody: what depends on a pinned release waits, and a shared change goes on without it.
func TestPinHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("b")
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  fleet: {waves: [1, 100%]}")
	w.commit("two releases, in waves")
	w.follow()
	w.all("b", "iris")
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Pin = &v1alpha1.Pin{Commit: w.git("rev-parse", "HEAD"), Tip: w.git("rev-parse", "HEAD"), At: metav1.NowMicro()}
	})
	w.pinnedAt("v1")
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.eventually("b healthy at it", func() bool { return w.of("b").Healthy.Commit == head })
	w.edit("releases/b/serving.yaml", "replicas: 1", "replicas: 2\n  dependsOn: [iris]")
	w.commit("b depends on iris")
	w.eventually("b waits", func() bool {
		s := w.of("b")
		return s.Reason == "DependsOn" && strings.Contains(s.Message, "held or pinned")
	})
}

// TestPinInARewrittenHistory lasts until a person decides: nobody can say what came after it.
func TestPinInARewrittenHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.pin("HEAD~1", "")
	w.pinnedAt("v1")
	stop()
	w.git("commit", "-q", "--amend", "-m", "promote v2, rewritten")
	w.follow(func(c *reconciler.Config) { c.AcceptRewrite = true })
	got := w.drain("production", "told", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "Pinned" && strings.Contains(s.Message, "is not in its history, so the pin lasts until davit resume production/iris")
	})
	if got.Applied.Version != "v1" || w.release("production").Spec.Pin == nil {
		t.Errorf("%+v", got)
	}
}

// TestAPinOfThePastIsNotWritten: a pin that a person took away stays away, whatever the controller writes on what it knew.
func TestAPinOfThePastIsNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.cluster
	arm := w.interrupted(func() {
		mr, err := other.Release(context.Background(), w.namespace("production"), "production", "iris")
		if err == nil {
			err = other.Ask(context.Background(), mr, func(s *v1alpha1.ModelReleaseSpec) { s.Pin = nil })
		}
		if err != nil {
			t.Error(err)
		}
	})
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	arm()
	w.pin("HEAD~1", "")
	w.drain("production", "back at v2", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "Healthy" && s.Applied.Version == "v2" && s.Pinned == "" && len(s.Outcomes) == 5
	})
	if w.release("production").Spec.Pin != nil || w.serves() != "v2" {
		t.Error("the pin came back")
	}
}

// TestPinFails stays, says what to do, and is never rolled back.
func TestPinFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.pin("HEAD", "v3") // its simulated pods crash
	failed := func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Failed && strings.Contains(s.Message, "nothing is rolled back: davit rollback production/iris")
	}
	got := w.drain("production", "failed", failed)
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.eventually("staging healthy at the shared change", func() bool { return w.status("staging").Healthy.Commit == head })
	after := w.status("production")
	if !failed(after) || after.Held != nil || len(after.Outcomes) != len(got.Outcomes) || after.Outcomes[0].Outcome != v1alpha1.Failed || w.serves() != "v3" {
		t.Errorf("it did not stay: %+v", after)
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Pin, s.Request = nil, &v1alpha1.Request{Action: v1alpha1.Resume, At: metav1.NowMicro()}
	})
	w.until(production, "v1", v1alpha1.Healthy)
}
