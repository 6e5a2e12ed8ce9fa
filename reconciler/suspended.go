package reconciler

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The reasons of what a suspension is told by.
const (
	suspendedReason = "Suspended"
	resumedReason   = "Resumed"
)

// suspended says whether a suspension is in force.
func suspended(stop *v1alpha1.Suspend) bool {
	return stop != nil && (stop.Until == nil || time.Until(stop.Until.Time) > 0)
}

// showSuspended keeps the condition Suspended. Most releases never are, and have none.
func (s *state) showSuspended() {
	st, stop := &s.release.Status, s.release.Spec.Suspend
	c := metav1.Condition{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue, Reason: suspendedReason, ObservedGeneration: s.release.Generation}
	switch {
	case suspended(stop):
		c.Message = suspension(stop)
	case meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionSuspended) == nil:
		return
	default:
		c.Status, c.Reason = metav1.ConditionFalse, resumedReason
	}
	setCondition(&st.Conditions, c)
}

// suspension is a suspension in words.
func suspension(stop *v1alpha1.Suspend) string {
	text := "suspended"
	if stop.By != "" {
		text += " by " + stop.By
	}
	if stop.Until != nil {
		text += " until " + stop.Until.UTC().Format(time.RFC3339)
	}
	if stop.Reason != "" {
		text += ": " + stop.Reason
	}
	return text
}

// tellSuspended has an Event tell of a suspension that began or ended, and the status of one that ended by itself: no
// change of the spec would have it written.
func (r *Reconciler) tellSuspended(ctx context.Context, site *site, s *state) error {
	stop, was := s.release.Spec.Suspend, meta.IsStatusConditionTrue(s.release.Status.Conditions, v1alpha1.ConditionSuspended)
	switch {
	case suspended(stop) == was:
		return nil
	case suspended(stop):
		site.event(s.release, "Normal", suspendedReason, suspension(stop))
	default:
		site.event(s.release, "Normal", resumedReason, fmt.Sprintf("%s is no longer suspended", s.key))
	}
	s.showSuspended()
	if s.release.Pending() || s.release.Status.ObservedGeneration != s.release.Generation {
		return nil // that is about to be written
	}
	return r.write(ctx, s)
}
