package reconciler

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Removed is the phase a Report gives for a release that was deleted because the registry no longer has it.
const Removed v1alpha1.Phase = "Removed"

// Report is one change of a release's phase.
type Report struct {
	Key      registry.Key
	Version  string
	Commit   string // the full hash
	Image    string // the model image by digest
	Uploaded int64  // bytes uploaded for the model image
	Phase    v1alpha1.Phase
	Reason   string
	Message  string
	Plain    string        // Message without what a container wrote, which may hold prompts and keys
	Took     time.Duration // since the commit, or the failure that led to a rollback, was seen
}

// report tells of the phase the release is in now, in the cluster's Events too, once per change.
func (r *Reconciler) report(ctx context.Context, s *state, t *target) {
	r.announce(s, t)
	r.notifyPhase(ctx, s, t)
	r.tell(s, t)
}

// tell reports the phase without an Event: what a process knows and did not write.
func (r *Reconciler) tell(s *state, t *target) {
	r.witness(s, t)
	st := s.release.Status
	r.cfg.Report(Report{
		Key: s.key, Version: t.release.ModelVersion.Name, Commit: t.commit.String(), Image: t.image, Uploaded: t.uploaded,
		Phase: st.Phase, Reason: st.Reason, Message: st.Message, Plain: s.said(), Took: time.Since(t.seen),
	})
}

// setCondition replaces a condition and keeps its transition time where the status stays.
func setCondition(conditions *[]metav1.Condition, c metav1.Condition) {
	c.LastTransitionTime = metav1.Now()
	i := slices.IndexFunc(*conditions, func(o metav1.Condition) bool { return o.Type == c.Type })
	if i < 0 {
		*conditions = append(*conditions, c)
		return
	}
	if (*conditions)[i].Status == c.Status {
		c.LastTransitionTime = (*conditions)[i].LastTransitionTime
	}
	(*conditions)[i] = c
}

// Unwell names the releases that are not healthy at their newest revision, each with what the cluster
// says of it.
func (r *Reconciler) Unwell() map[string]string {
	out := map[string]string{}
	for _, s := range r.all() {
		s.work.Lock()
		switch {
		case s.trouble.Load() != "":
			out[s.key.String()] = s.trouble.Load()
		case s.release != nil && s.release.Status.Phase != v1alpha1.Healthy:
			out[s.key.String()] = string(s.release.Status.Phase) + ": " + s.release.Status.Message
		}
		s.work.Unlock()
	}
	if want := r.desired.Load(); want != nil {
		for key, faults := range want.models.Broken {
			out[key.String()] = faults[0].String()
		}
	}
	return out
}
