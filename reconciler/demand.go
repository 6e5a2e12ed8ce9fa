package reconciler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// overdemands says why no room for a revision is its own fault: it asks for more GPUs than the healthy one, and there was
// none for the time that its start may take. "" while that is not known: a cluster may grow.
func (r *Reconciler) overdemands(ctx context.Context, s *state, t *target, health cluster.Health) (string, error) {
	st := s.release.Status
	timeout := t.release.Serving.Rollout.StartupTimeout.Or(defaultStartupTimeout)
	if health.Reason != corev1.PodReasonUnschedulable || t.rollback || !s.armed(t) || st.Healthy.Commit == "" || time.Since(st.Applied.Time.Time) < timeout {
		return "", nil
	}
	healthy, err := r.at(ctx, s, st.Healthy, t.seen)
	if err != nil {
		return "", fmt.Errorf("comparing with the last healthy revision of %s: %w", s.key, err)
	}
	if !asksForMore(t.release, healthy.release) {
		return "", nil
	}
	return fmt.Sprintf("it asks for more GPUs than %s, and there was no room for %s: %s", st.Healthy.Version, timeout, health.Sentence()), nil
}

// asksForMore compares GPUs: for each pod, in all, and of which kind.
func asksForMore(r, than *registry.Release) bool {
	now, was := r.Serving, than.Serving
	return now.GPUs > was.GPUs || begins(now) > begins(was) || now.GPUs > 0 && now.Accelerator != was.Accelerator
}

// begins is how many GPUs a Serving's replicas begin with: a higher maximum of autoscale finds no room only later, and by
// load. The base's number of replicas, which both share, counts as one.
func begins(s registry.ServingSpec) int {
	replicas := 1
	if s.Replicas != nil {
		replicas = *s.Replicas
	}
	if s.Autoscale != nil {
		replicas = s.Autoscale.Min
	}
	return s.GPUs * max(s.Nodes, 1) * replicas
}
