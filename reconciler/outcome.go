package reconciler

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// cause is why a revision failed. What the container wrote is apart: it may hold prompts and keys.
type cause struct {
	reason, message, log string
	exitCode             *int32
}

// sentence is the message and the last line the container wrote, for the status.
func (c cause) sentence() string {
	lines := strings.Split(strings.TrimSpace(c.log), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return c.message + ": " + last
	}
	return c.message
}

// result is an outcome in the making.
type result struct{ v1alpha1.Outcome }

// came is what came of a revision.
func (s *state) came(what v1alpha1.Phase, of v1alpha1.Revision) result {
	o := v1alpha1.Outcome{Commit: of.Commit, Version: of.Version, Image: of.Image, Outcome: what, Applied: of.Time, At: metav1.Now()}
	if healthy := s.release.Status.Healthy; healthy.Commit != of.Commit {
		o.From = healthy.Version
	}
	if of.Urgent != nil {
		o.By, o.Reason, o.Message = of.Urgent.By, "Urgent", "urgent, through a freeze: "+of.Urgent.Reason
	}
	switch what {
	case v1alpha1.Healthy:
		o.InputKey = of.InputKey
	case v1alpha1.Superseded:
		o.Reason, o.Message = "NewerRevision", "a newer revision was applied before it settled"
	}
	return result{o}
}

// because adds the cause; the log only where it may be told.
func (o result) because(why cause, logs bool) result {
	o.Reason, o.Message, o.ExitCode = why.reason, why.message, why.exitCode
	if logs {
		o.Log = why.log
	}
	return o
}

// logs says whether the environment lets logs be told, both now and as it was at the target's commit: a pin or a rollback
// brings back neither a permission that was taken away nor one that did not hold then.
func (r *Reconciler) logs(t *target) bool {
	want := r.wanted(t.release.Environment.Name)
	if want == nil {
		return false
	}
	env := want.models.Environments[t.release.Environment.Name]
	return env != nil && env.Spec.Rollback.Logs && t.release.Environment.Spec.Rollback.Logs
}

// wentBack is the outcome of the held revision once the last healthy one is back and has stayed so.
func (s *state) wentBack() result {
	st := &s.release.Status
	o := s.came(v1alpha1.RolledBack, v1alpha1.Revision{Commit: st.Held.Commit, Version: st.Held.Version})
	for _, failed := range st.Outcomes {
		if failed.Outcome == v1alpha1.Failed && failed.Commit == o.Commit {
			o.Image, o.Reason, o.Message, o.ExitCode, o.Applied = failed.Image, failed.Reason, failed.Message, failed.ExitCode, failed.Applied
			break
		}
	}
	o.Serves = &v1alpha1.Serves{Commit: st.Applied.Commit, Version: st.Applied.Version}
	return o
}

// turnedAway is the outcome of the revision that a person turned away from by a pin.
func (s *state) turnedAway(p *v1alpha1.Pin, t *target) result {
	o := s.came(v1alpha1.Pinned, s.release.Status.Applied)
	o.Reason, o.Message, o.By = "AskedFor", p.Reason, p.By
	o.Serves = &v1alpha1.Serves{Commit: p.Commit, Version: t.release.ModelVersion.Name}
	return o
}

// outcomesKept is how many outcomes a ModelRelease keeps.
const outcomesKept = 5

// outcome adds an outcome to the status, which tells of it once it is written.
func (s *state) outcome(o result) {
	if o.Commit == "" {
		return
	}
	st := &s.release.Status
	st.Outcomes = append([]v1alpha1.Outcome{o.Outcome}, st.Outcomes...)
	st.Outcomes = st.Outcomes[:min(len(st.Outcomes), outcomesKept)]
	s.remember()
}
