package reconciler

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"
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
func (r *Reconciler) apply(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured) (changes cluster.ChangeSet, err error) {
	ctx, traced := stage(ctx, "apply", attribute.Int("davit.objects", len(objects)))
	defer func() { traced(err, attribute.Int("davit.changed", changed(changes))) }()
	if err := r.pullable(ctx, s.key.Environment, s.release.Namespace); err != nil {
		return cluster.ChangeSet{Inventory: s.release.Status.Inventory}, err
	}
	s.release.Status.PullSecrets = r.cfg.Grants[s.key.Environment].PullSecrets
	was := s.release.Status.Traffic
	now := next(was, t.rollout)
	s.release.Status.Traffic = now
	changes, err = r.dispatch(ctx, s, t, objects)
	if err != nil && len(changes.Changes) == 0 {
		s.release.Status.Traffic = was // there is nothing that it could go over to
	}
	return changes, err
}

// dispatch applies the objects of a target but for what turns the traffic, where that goes to another rollout yet.
func (r *Reconciler) dispatch(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured) (cluster.ChangeSet, error) {
	now, sent := s.release.Status.Traffic, objects
	switch {
	case now == nil || now.Next == "":
	case now.Weight > 0 && now.Weight < allTraffic: // the same rollout under another route
		sent = append(own(objects, s.key.Name), shared(objects, s.key.Name, now)...)
	default:
		sent = own(objects, s.key.Name)
	}
	changes, err := r.site(s.key.Environment).cluster.Apply(ctx, s.release, sent, ApplyOptions(t.release))
	if now != nil && now.Next != "" {
		unjudged(changes.Inventory, s.key.Name)
	}
	return changes, err
}

// allTraffic is the weight of a rollout that all traffic is being turned to.
const allTraffic = 100

// next is where the traffic stands when a rollout begins.
func next(was *v1alpha1.Traffic, rollout string) *v1alpha1.Traffic {
	switch {
	case rollout == "":
		return nil
	case was == nil:
		return &v1alpha1.Traffic{Next: rollout}
	case was.Serving == rollout:
		return &v1alpha1.Traffic{Serving: rollout, Kept: was.Kept, KeptUntil: was.KeptUntil}
	case was.Next == rollout:
		return was
	}
	return &v1alpha1.Traffic{Serving: was.Serving, Next: rollout, Kept: was.Kept, KeptUntil: was.KeptUntil}
}

// shift turns the traffic to a rollout that is ready, a canary's by its steps. It returns how long the present step
// lasts; zero when all traffic is there. What is about to be turned is written before: whoever goes on after a crash
// knows what there may be to take back.
func (r *Reconciler) shift(ctx context.Context, s *state, t *target) (time.Duration, error) {
	now := s.release.Status.Traffic
	if now == nil || now.Next == "" {
		return 0, nil
	}
	objects, err := r.renderer.Release(t.snapshot, t.release, s.release.Status.Applied.Image)
	if err != nil {
		return 0, &stuckError{err}
	}
	steps := s.steps(t)
	if began := int(now.Step); began > 0 && began <= len(steps) {
		left := time.Duration(steps[began-1].Pause) - time.Since(now.Since.Time)
		again, passed, err := r.check(ctx, s, t, period{since: now.Since.Time, due: left <= 0, patient: true})
		switch {
		case err != nil || !passed && again == 0:
			return 0, err
		case left > 0:
			return r.hold(ctx, s, t, objects.Objects, sooner(left, again))
		case !passed:
			return r.hold(ctx, s, t, objects.Objects, again)
		}
		s.tested = false // with the traffic it had
		if again, err := r.smoke(ctx, s, t); err != nil || again > 0 || !s.tested {
			return again, err
		}
	}
	if int(now.Step) < len(steps) {
		return r.step(ctx, s, t, objects.Objects, steps)
	}
	now.Weight = allTraffic
	if err := r.write(ctx, s); err != nil {
		return 0, err
	}
	now = s.release.Status.Traffic
	changes, err := r.site(s.key.Environment).cluster.Apply(ctx, s.release, objects.Objects, ApplyOptions(t.release))
	s.release.Status.Inventory = changes.Inventory
	if err != nil {
		return r.unapplied(ctx, s, t, err)
	}
	turned := &v1alpha1.Traffic{Serving: now.Next, Kept: now.Kept, KeptUntil: now.KeptUntil}
	if now.Serving != "" && now.Serving == s.release.Status.Healthy.Rollout && !t.rollback {
		turned.Kept, turned.KeptUntil = now.Serving, metav1.Time{} // what failed, or never was healthy, is nothing to go back to
	}
	s.release.Status.Traffic = turned
	s.ready = time.Now() // with the traffic
	s.phase(v1alpha1.Progressing, "TrafficTurned", fmt.Sprintf("all traffic goes to %s", t.release.ModelVersion.Name))
	return 0, r.writeAndReport(ctx, s, t)
}

// sooner is the earlier of two looks, of which the second may be none.
func sooner(left, again time.Duration) time.Duration {
	if again == 0 {
		return left
	}
	return min(left, again)
}

// step begins the next step of a canary.
func (r *Reconciler) step(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured, steps []registry.CanaryStep) (time.Duration, error) {
	now := s.release.Status.Traffic
	step := steps[now.Step]
	now.Weight, now.Step, now.Since = int32(step.Weight), now.Step+1, metav1.Now()
	pause := time.Duration(step.Pause)
	s.phase(v1alpha1.Progressing, "Canary", fmt.Sprintf("step %d of %d: %s has %d%% of the traffic for %s", now.Step, len(steps), t.release.ModelVersion.Name, step.Weight, pause))
	if err := r.write(ctx, s); err != nil {
		return 0, err
	}
	if err := r.send(ctx, s, shared(objects, s.key.Name, s.release.Status.Traffic), ApplyOptions(t.release)); err != nil {
		return r.unapplied(ctx, s, t, err)
	}
	r.report(ctx, s, t)
	return max(pause, time.Millisecond), nil
}

// hold sees to it that a step's weights are what they are to be, after a crash too, and whatever others do to the route.
func (r *Reconciler) hold(ctx context.Context, s *state, t *target, objects []*unstructured.Unstructured, left time.Duration) (time.Duration, error) {
	if now := s.release.Status.Traffic; now.Weight > 0 {
		if err := r.send(ctx, s, shared(objects, s.key.Name, now), ApplyOptions(t.release)); err != nil {
			return r.unapplied(ctx, s, t, err)
		}
	}
	return left, nil
}

// steps are those a canary takes. A way back takes none, nor does a release whose revisions shared a workload until
// now: nothing could hold the weights.
func (s *state) steps(t *target) []registry.CanaryStep {
	now := s.release.Status.Traffic
	if t.rollback || t.pin != nil || now.Serving == "" || now.Next == now.Kept || s.wasHealthyAt(t.key) {
		return nil
	}
	return t.release.Serving.Rollout.CanarySteps()
}

// blink is how long a canary may seem to have no ready pod: its controller has just been given something new.
const blink = 2 * time.Second

// pause takes a canary's share of the traffic back while none of its pods is ready. Some may always not be: pods are
// moved, and an autoscaler adds some.
func (r *Reconciler) pause(ctx context.Context, s *state, t *target, health cluster.Health) (time.Duration, error) {
	now := s.release.Status.Traffic
	if now == nil || now.Weight == 0 || health.State == cluster.Ready {
		s.dipped = time.Time{}
		return 0, nil
	}
	if health.State != cluster.Failed {
		if s.dipped.IsZero() {
			s.dipped = time.Now()
		}
		left := blink - time.Since(s.dipped)
		switch {
		case health.Partly:
			return look, nil
		case left > 0:
			return left, nil
		}
	}
	s.dipped = time.Time{}
	return 0, r.withdraw(ctx, s, t)
}

// withdraw turns the traffic back to the rollout that serves, as its own revision has it, whatever became of the one
// that it was going over to. That one's step begins anew.
func (r *Reconciler) withdraw(ctx context.Context, s *state, t *target) error {
	if s.release == nil || s.release.Status.Traffic == nil || s.release.Status.Traffic.Weight == 0 {
		return nil
	}
	st := &s.release.Status
	now := st.Traffic
	if st.Healthy.Commit != "" {
		serving, err := r.at(ctx, s, st.Healthy, t.seen)
		if err != nil {
			return fmt.Errorf("taking the traffic of %s back: %w", s.key, err)
		}
		out, err := r.renderer.Release(serving.snapshot, serving.release, st.Healthy.Image)
		if err != nil {
			return &stuckError{err}
		}
		if err := r.send(ctx, s, traffic(out.Objects, s.key.Name), ApplyOptions(t.release)); err != nil {
			return fmt.Errorf("taking the traffic of %s back: %w", s.key, err)
		}
	}
	now.Serving, now.Weight, now.Step = st.Healthy.Rollout, 0, max(now.Step-1, 0)
	if st.Held == nil {
		s.phase(v1alpha1.Progressing, "TrafficTakenBack", "the traffic of "+st.Applied.Version+" was taken back")
	}
	r.cfg.Log.Info("traffic taken back", "release", s.key.String(), "version", st.Applied.Version)
	return r.write(ctx, s)
}

// send applies some of a release's objects. What the inventory says of the others stays.
func (r *Reconciler) send(ctx context.Context, s *state, objects []*unstructured.Unstructured, options cluster.ApplyOptions) error {
	stale := map[string]bool{}
	for _, ref := range s.release.Status.Inventory {
		stale[ref.String()] = ref.Stale
	}
	changes, err := r.site(s.key.Environment).cluster.Apply(ctx, s.release, objects, options)
	for i, ref := range changes.Inventory {
		changes.Inventory[i].Stale = stale[ref.String()]
	}
	unjudged(changes.Inventory, s.key.Name)
	s.release.Status.Inventory = changes.Inventory
	return err
}

// unjudged leaves out of a rollout's health what says nothing of it before it has all traffic: the route, which leads to
// another, and an autoscaler, which may wait for a metric of requests.
func unjudged(inventory []v1alpha1.ObjectRef, release string) {
	for i, ref := range inventory {
		if ref.Kind == "HTTPRoute" && ref.Name == release || ref.Kind == "HorizontalPodAutoscaler" {
			inventory[i].Stale = true
		}
	}
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

// traffic are the others.
func traffic(objects []*unstructured.Unstructured, release string) (out []*unstructured.Unstructured) {
	for _, o := range objects {
		if render.IsTraffic(o, release) {
			out = append(out, o)
		}
	}
	return out
}

// shared is the route, in which the next rollout's backend has its weight of the traffic and the one that serves the
// rest. The Service stays with the one that serves.
func shared(objects []*unstructured.Unstructured, release string, now *v1alpha1.Traffic) (out []*unstructured.Unstructured) {
	for _, o := range traffic(objects, release) {
		if o.GetKind() != "HTTPRoute" {
			continue
		}
		route := o.DeepCopy()
		rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
		for _, rule := range rules {
			if rule, ok := rule.(map[string]any); ok {
				share(rule, release, now)
			}
		}
		if len(rules) > 0 {
			_ = unstructured.SetNestedSlice(route.Object, rules, "spec", "rules") // it was read from there
		}
		out = append(out, route)
	}
	return out
}

func share(rule map[string]any, release string, now *v1alpha1.Traffic) {
	var shares []any
	backends, _ := rule["backendRefs"].([]any)
	for _, b := range backends {
		next, _ := b.(map[string]any)
		if next["name"] == release+"-"+now.Next {
			serving := maps.Clone(next)
			serving["name"], serving["weight"] = release+"-"+now.Serving, int64(allTraffic-now.Weight)
			next["weight"] = int64(now.Weight)
			shares = append(shares, serving)
		}
		shares = append(shares, b)
	}
	rule["backendRefs"] = shares
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
	if now == nil || now.Kept == "" || now.Kept == now.Next || now.Kept == s.release.Status.Healthy.Rollout || health.Reason != corev1.PodReasonUnschedulable {
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

// superseded takes the share of a canary back when the release goes elsewhere: what comes next may have to wait for its
// turn or its image, and nobody would watch.
func (r *Reconciler) superseded(ctx context.Context, s *state, t *target) error {
	if s.release == nil || t.key == s.release.Status.Applied.InputKey || s.stays(t) != nil {
		return nil
	}
	return r.withdraw(ctx, s, t)
}
