package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestDriftUndone takes back what a person changed, and slows down when somebody does it again and again.
func TestDriftUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.scale("iris", 3)
	took := w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	t.Logf("undone after %s", took)
	if err := w.kubectl().CoreV1().Services(w.namespace("production")).Delete(t.Context(), "iris", deleteNow); err != nil {
		t.Fatal(err)
	}
	w.eventually("there again", func() bool {
		_, err := w.kubectl().CoreV1().Services(w.namespace("production")).Get(t.Context(), "iris", get)
		return err == nil
	})

	var edited time.Time
	w.eventually("named as a fight", func() bool {
		if *w.deployment("iris").Spec.Replicas == 1 { // one correction may undo two edits: they are not counted here
			edited = time.Now()
			w.scale("iris", 2)
		}
		return w.event("DriftFight", "somebody")
	})
	if got, passed := *w.deployment("iris").Spec.Replicas, time.Since(edited); got != 2 && passed < 5*time.Second { // from then on it is corrected
		t.Errorf("corrected within %s though it is a fight: %d replicas", passed, got)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Healthy || len(got.Outcomes) != 1 {
		t.Errorf("a correction is no outcome: %+v", got)
	}
}

// TestDriftOfARollout: what a person changes of a revision that is not healthy yet is not judged as the revision's.
func TestDriftOfARollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1h")
	w.commit("an hour's bake")
	w.follow()
	w.until(production, "v1", v1alpha1.Progressing)
	w.scale("iris", 3)
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	got := w.drain("production", "in the status", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase != "" }) // the claim says first that it is under way
	if got.Phase != v1alpha1.Progressing || len(got.Outcomes) != 0 {
		t.Errorf("a correction is no outcome: %+v", got)
	}
}

// TestDriftMissed takes back what was changed while no controller ran.
func TestDriftMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.scale("iris", 3)
	w.follow()
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
}

// TestDriftReported leaves alone what a person changed where the environment says so, and tells of it.
func TestDriftReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  drift: report")
	w.commit("report drift")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.scale("iris", 2)
	status := w.drain("production", "reported", func(s v1alpha1.ModelReleaseStatus) bool { return len(s.Drift) > 0 })
	if line := strings.Join(status.Drift, "\n"); !strings.Contains(line, "Deployment.apps/iris") || !strings.Contains(line, "replicas") || !strings.Contains(line, "somebody") {
		t.Errorf("drift: %q", line)
	}
	if got := *w.deployment("iris").Spec.Replicas; got != 2 {
		t.Errorf("corrected against the policy: %d replicas", got)
	}
	w.scale("iris", 1)
	w.drain("production", "without drift", func(s v1alpha1.ModelReleaseStatus) bool { return len(s.Drift) == 0 })
}
