package reconciler_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func (w *world) ask(change func(*v1alpha1.ModelReleaseSpec)) {
	w.t.Helper()
	if err := w.cluster.Ask(w.t.Context(), w.release("production"), change); err != nil {
		w.t.Fatal(err)
	}
}

// TestSuspend leaves a suspended release alone, whatever is committed, edited or deleted, until it is resumed.
func TestSuspend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{By: "ada", Reason: "looking"} })
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("v2 everywhere")
	w.until(staging, "v2", v1alpha1.Healthy)
	w.scale("iris", 2)
	w.eventually("answered", func() bool {
		mr := w.release("production")
		return mr.Status.ObservedGeneration == mr.Generation
	})
	if got := w.status("production"); got.Applied.Version != "v1" {
		t.Errorf("a suspended release went to %s", got.Applied.Version)
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = nil })
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })

	until := metav1.NewTime(time.Now().Add(5 * time.Second).Truncate(time.Second)) // the API keeps whole seconds
	asked := metav1.NowMicro()
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Request = &v1alpha1.Request{Action: v1alpha1.Resume, At: asked} })
	w.eventually("answered", func() bool {
		at := w.status("production").Answered
		return at.Time.Equal(asked.Time.Truncate(time.Microsecond))
	})
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{Until: &until} })
	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	if time.Now().Before(until.Time) {
		t.Error("applied before the suspension ended")
	}
}

// TestSuspendedRollback: a release that is suspended while its rollback is under way stays as it is then, says so, and goes
// back once it is resumed.
func TestSuspendedRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v3") // its pods crash
	w.eventually("under way", func() bool {
		mr := w.release("production")
		return mr.Spec.Claim.Version == "v3" || mr.Status.Held != nil
	})
	w.eventually("rolling back", func() bool {
		mr := w.release("production")
		return mr.Spec.Claim.Version == "v1" || mr.Status.Phase == v1alpha1.Failed
	})
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{By: "ada"} })
	told := func() bool {
		mr := w.release("production")
		return mr.Status.ObservedGeneration == mr.Generation && meta.IsStatusConditionTrue(mr.Status.Conditions, v1alpha1.ConditionSuspended)
	}
	w.eventually("told", told)
	stop()
	stop = w.follow()
	defer func() { stop() }()
	w.scale("iris", 3)
	w.eventually("told by the next process", told)
	if n := *w.deployment("iris").Spec.Replicas; n != 3 {
		t.Errorf("%d replicas: it is not left alone", n)
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = nil })
	w.until(production, "v1", v1alpha1.RolledBack)
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
}

// TestRetry tries a held revision again when a person asks for it.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("v3")
	held := w.drain("production", "back at v1", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.RolledBack })
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Request = &v1alpha1.Request{Action: v1alpha1.Retry, At: metav1.NowMicro(), By: "ada"}
	})
	again := w.drain("production", "failed again", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.RolledBack && s.Held != nil && len(s.Outcomes) == len(held.Outcomes)+2
	})
	if again.Answered.IsZero() || again.Applied.Version != "v1" {
		t.Errorf("after the retry: %+v", again)
	}
	before := w.deployment("iris").Generation
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Request = &v1alpha1.Request{Action: v1alpha1.Resume, At: metav1.NowMicro(), By: "ada"}
	})
	w.eventually("applied again", func() bool { return w.deployment("iris").Generation > before })
}
