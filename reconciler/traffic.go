package reconciler

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// defaultKeep is how long the revision before goes on running.
const defaultKeep = 10 * time.Minute

// apply sends the objects of a target. Where each revision has a workload of its own and another one has the traffic,
// what turns the traffic is left out: that is for shift, once the new pods are ready.
func (r *Reconciler) apply(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured) (cluster.ChangeSet, error) {
	st := &s.release.Status
	now := st.Traffic
	switch {
	case t.rollout == "":
		now = nil
	case now == nil:
		now = &v1alpha1.Traffic{Next: t.rollout}
	case now.Serving == t.rollout:
		now = &v1alpha1.Traffic{Serving: t.rollout, Kept: now.Kept, KeptUntil: now.KeptUntil}
	case now.Next != t.rollout: // what the one before it has of the traffic goes back when this one is not ready, or to it
		now = &v1alpha1.Traffic{Serving: now.Serving, Next: t.rollout, Weight: now.Weight, Kept: now.Kept, KeptUntil: now.KeptUntil}
	}
	st.Traffic = now
	if now == nil || now.Next == "" {
		return r.site(s.key.Environment).cluster.Apply(ctx, s.release, objects, applyOptions(t))
	}
	return r.applyOwn(ctx, s, t, own(objects, s.key.Name))
}

// shift turns the traffic to a rollout that is ready, a canary's by its steps. It returns how long the present step
// lasts; zero when all traffic is there.
func (r *Reconciler) shift(ctx context.Context, s *state, t *target) (time.Duration, error) {
	now := s.release.Status.Traffic
	if now == nil || now.Next == "" {
		return 0, nil
	}
	steps := s.steps(t)
	if began := int(now.Step); began > 0 && began <= len(steps) {
		if left := time.Duration(steps[began-1].Pause) - time.Since(now.Since.Time); left > 0 {
			return left, nil
		}
		s.tested = false // with the traffic it had
		if again, err := r.smoke(ctx, s, t); err != nil || again > 0 || !s.tested {
			return again, err
		}
	}
	objects, err := r.renderer.Release(t.snapshot, t.release, s.release.Status.Applied.Image)
	if err != nil {
		return 0, &stuckError{err}
	}
	if int(now.Step) < len(steps) {
		return r.step(ctx, s, t, objects.Objects, steps)
	}
	changes, err := r.site(s.key.Environment).cluster.Apply(ctx, s.release, objects.Objects, applyOptions(t))
	s.release.Status.Inventory = changes.Inventory
	if err != nil {
		return r.unapplied(ctx, s, t, err)
	}
	// What fails is gone with its rollout; only one that was healthy is worth going back to.
	kept := now.Serving
	if t.rollback {
		kept = ""
	}
	s.release.Status.Traffic = &v1alpha1.Traffic{Serving: now.Next, Kept: kept}
	s.ready = time.Now() // with the traffic
	s.phase(v1alpha1.Progressing, "TrafficTurned", fmt.Sprintf("all traffic goes to %s", t.release.ModelVersion.Name))
	return 0, r.writeAndReport(ctx, s, t)
}

// step begins the next step of a canary.
func (r *Reconciler) step(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured, steps []registry.CanaryStep) (time.Duration, error) {
	now := s.release.Status.Traffic
	next := steps[now.Step]
	now.Weight = int32(next.Weight)
	changes, err := r.weigh(ctx, s, t, objects)
	s.release.Status.Inventory = changes.Inventory
	if err != nil {
		return r.unapplied(ctx, s, t, err)
	}
	now.Step, now.Since = now.Step+1, metav1.Now()
	pause := time.Duration(next.Pause)
	s.phase(v1alpha1.Progressing, "Canary", fmt.Sprintf("step %d of %d: %s has %d%% of the traffic for %s", now.Step, len(steps), t.release.ModelVersion.Name, next.Weight, pause))
	return max(pause, time.Millisecond), r.writeAndReport(ctx, s, t)
}

// steps are those a canary takes. A way back takes none, nor does a release whose revisions shared a workload until
// now: nothing could hold the weights.
func (s *state) steps(t *target) []registry.CanaryStep {
	now := s.release.Status.Traffic
	if t.rollback || now.Serving == "" || now.Next == now.Kept || s.wasHealthyAt(t.key) {
		return nil
	}
	return t.release.Serving.Rollout.CanarySteps()
}

// pause takes a canary's share of the traffic back while it is not ready, and before it is rolled back. The step
// begins anew.
func (r *Reconciler) pause(ctx context.Context, s *state, t *target) error {
	now := s.release.Status.Traffic
	if now == nil || now.Weight == 0 {
		return nil
	}
	objects, err := r.renderer.Release(t.snapshot, t.release, s.release.Status.Applied.Image)
	if err != nil {
		return &stuckError{err}
	}
	if objects.Rollout != now.Next {
		return nil // it is not this target's; what comes in its place takes it
	}
	now.Weight, now.Step = 0, max(now.Step-1, 0)
	changes, err := r.weigh(ctx, s, t, objects.Objects)
	s.release.Status.Inventory = changes.Inventory
	if err != nil {
		return fmt.Errorf("taking the traffic of %s back: %w", s.key, err)
	}
	r.cfg.Log.Info("traffic taken back", "release", s.key.String(), "version", t.release.ModelVersion.Name)
	return nil
}

// weigh applies the target's objects with the traffic shared out as the status says. The Service stays with the
// rollout that serves.
func (r *Reconciler) weigh(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured) (cluster.ChangeSet, error) {
	sent := own(objects, s.key.Name)
	for _, o := range objects {
		if render.IsTraffic(o, s.key.Name) && o.GetKind() == "HTTPRoute" {
			sent = append(sent, shared(o, s.key.Name, s.release.Status.Traffic))
		}
	}
	return r.applyOwn(ctx, s, t, sent)
}

// applyOwn applies a part of a target's objects. What turns the traffic is another's as yet, so that the new
// revision is not judged by it.
func (r *Reconciler) applyOwn(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured) (cluster.ChangeSet, error) {
	changes, err := r.site(s.key.Environment).cluster.Apply(ctx, s.release, objects, applyOptions(t))
	for i, ref := range changes.Inventory {
		changes.Inventory[i].Stale = ref.Stale || ref.Kind == "HTTPRoute" && ref.Name == s.key.Name
	}
	return changes, err
}

// own are the objects that belong to one revision alone.
func own(objects []*unstructured.Unstructured, release string) (out []*unstructured.Unstructured) {
	for _, o := range objects {
		if !render.IsTraffic(o, release) {
			out = append(out, o)
		}
	}
	return out
}

// shared is a route in which the backend of the next rollout has its weight of the traffic and the one that serves
// the rest.
func shared(route *unstructured.Unstructured, release string, now *v1alpha1.Traffic) *unstructured.Unstructured {
	out := route.DeepCopy()
	rules, _, _ := unstructured.NestedSlice(out.Object, "spec", "rules")
	for _, rule := range rules {
		rule, _ := rule.(map[string]any)
		backends, _ := rule["backendRefs"].([]any)
		for i, b := range backends {
			next, _ := b.(map[string]any)
			if next["name"] != release+"-"+now.Next {
				continue
			}
			serving := map[string]any{}
			for key, value := range next {
				serving[key] = value
			}
			serving["name"], serving["weight"] = release+"-"+now.Serving, int64(100-now.Weight)
			next["weight"] = int64(now.Weight)
			pair := []any{serving, next}
			if now.Weight == 0 {
				pair = pair[:1]
			}
			rule["backendRefs"] = slices.Concat(backends[:i:i], pair, backends[i+1:])
			break
		}
	}
	if len(rules) > 0 {
		_ = unstructured.SetNestedSlice(out.Object, rules, "spec", "rules") // it was read from there
	}
	return out
}

// service is the Service that leads to the applied revision's pods.
func (s *state) service(t *target) string {
	if now := s.release.Status.Traffic; now != nil && now.Next != "" {
		return t.release.Name + "-" + now.Next
	}
	return t.release.Name
}

// prune deletes what a healthy target no longer has, but leaves the rollout before for a time.
func (r *Reconciler) prune(ctx context.Context, s *state, t *target) error {
	now := s.release.Status.Traffic
	if now != nil && now.Kept != "" && now.KeptUntil.IsZero() {
		now.KeptUntil = metav1.NewTime(time.Now().Add(t.release.Serving.Rollout.Keep.Or(defaultKeep)))
	}
	return r.discard(ctx, s, func(ref v1alpha1.ObjectRef) bool { return ref.Stale && !now.Keeps(ref.Name) })
}

// remind has the release looked at when what it keeps may go. Nobody waits for that.
func (r *Reconciler) remind(s *state) {
	if s.release == nil || s.release.Status.Traffic == nil || s.release.Status.Traffic.Kept == "" {
		return
	}
	r.site(s.key.Environment).queue.AddAfter(s.key, max(time.Until(s.release.Status.Traffic.KeptUntil.Time), 0)+time.Second)
}

// unkeep deletes the rollout before when its time is over.
func (r *Reconciler) unkeep(ctx context.Context, s *state) error {
	now := s.release.Status.Traffic
	if now == nil || now.Kept == "" || time.Now().Before(now.KeptUntil.Time) {
		return nil
	}
	return r.giveUp(ctx, s)
}

// makeRoom gives up the rollout before when the next one finds no room: it holds GPUs that could be its.
func (r *Reconciler) makeRoom(ctx context.Context, s *state, health cluster.Health) error {
	now := s.release.Status.Traffic
	if now == nil || now.Kept == "" || now.Kept == now.Next || health.Reason != corev1.PodReasonUnschedulable {
		return nil
	}
	r.cfg.Log.Info("rollout before given up for room", "release", s.key.String(), "rollout", now.Kept)
	return r.giveUp(ctx, s)
}

func (r *Reconciler) giveUp(ctx context.Context, s *state) error {
	now := s.release.Status.Traffic
	if err := r.discard(ctx, s, func(ref v1alpha1.ObjectRef) bool { return ref.Stale && now.Keeps(ref.Name) }); err != nil {
		return err
	}
	now.Kept, now.KeptUntil = "", metav1.Time{}
	return r.write(ctx, s)
}

// discard deletes objects of the inventory; the others stay in it as they are.
func (r *Reconciler) discard(ctx context.Context, s *state, goes func(v1alpha1.ObjectRef) bool) error {
	st := &s.release.Status
	var keep []v1alpha1.ObjectRef
	stale := map[string]bool{}
	for _, ref := range st.Inventory {
		if !goes(ref) {
			stale[ref.String()] = ref.Stale
			ref.Stale = false
			keep = append(keep, ref)
		}
	}
	changes, err := r.site(s.key.Environment).cluster.Prune(ctx, s.release, keep)
	st.Inventory = changes.Inventory
	for i, ref := range st.Inventory {
		st.Inventory[i].Stale = ref.Stale || stale[ref.String()]
	}
	if err != nil {
		return fmt.Errorf("pruning: %w", err)
	}
	return nil
}
