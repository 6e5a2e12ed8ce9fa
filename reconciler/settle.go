package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Defaults where a registry says nothing.
const (
	defaultBake           = time.Minute
	defaultStartupTimeout = 10 * time.Minute
)

// look is how often an unsettled release is looked at when the watches report nothing: deadlines pass
// without an event.
const look = 5 * time.Second

// long is how long a rollout may take before the status tells of it.
const long = 30 * time.Second

// settle takes applied objects to an outcome: healthy after the smoke test and the bake time, failed for a
// cause inside the revision, or waiting for one outside. It returns when to look again.
func (r *Reconciler) settle(ctx context.Context, s *state, t *target) (time.Duration, error) {
	if s.unpinned(t) { // by a commit that asks for the very objects that the pin did: what comes of them is its outcome
		s.release.Status.Applied = t.renew(s.release.Status.Applied)
		if s.release.Status.Phase == v1alpha1.Healthy {
			return 0, r.healthy(ctx, s, t)
		}
	}
	if s.backAsAsked(t) { // what comes of them is that commit's outcome
		s.release.Status.Applied = t.renew(s.release.Status.Applied)
	}
	if err := errors.Join(r.renewClaim(ctx, s, t), r.showPin(ctx, s, t)); err != nil {
		return 0, err
	}
	switch s.release.Status.Phase {
	case v1alpha1.Healthy:
		if err := r.leaveFormer(ctx, s); err != nil {
			return 0, err
		}
		r.record(s, t)
		if err := errors.Join(r.renewKey(ctx, s, t), r.observe(ctx, s)); err != nil {
			return 0, err
		}
		if again, err := r.drift(ctx, s, t); err != nil || again > 0 {
			return again, err
		}
		if err := r.unkeep(ctx, s); err != nil {
			return 0, err
		}
		return r.degraded(ctx, s, t)
	case v1alpha1.Waiting:
		if !t.rollback && byPolicy(s.release.Status.Reason) && s.isReady() && !s.armed(t) { // what was kept back is not asked for any more
			return 0, r.healthy(ctx, s, t)
		}
	case v1alpha1.RolledBack, v1alpha1.Held:
		if t.rollback {
			return r.rolledBack(ctx, s, t)
		}
		// The hold ended with a commit that asks for the very objects that are healthy.
		s.release.Status.Applied = t.renew(s.release.Status.Applied)
		return 0, r.healthy(ctx, s, t)
	case v1alpha1.Failed:
		if s.release.Status.Held != nil || s.pinFailed(t) {
			return 0, nil
		}
		s.phase(v1alpha1.Progressing, "Retried", "")
	}
	return r.progressing(ctx, s, t)
}

// backAsAsked says that a hold ended with a commit that asks for the very objects it went back to, or is still on the way to.
func (s *state) backAsAsked(t *target) bool {
	st := s.release.Status
	return t.unheld != nil && st.Applied.Commit == st.Healthy.Commit && st.Applied.ObjectsHash == st.Healthy.ObjectsHash
}

// progressing judges a revision that has no outcome yet by its health.
func (r *Reconciler) progressing(ctx context.Context, s *state, t *target) (time.Duration, error) {
	if _, err := r.drift(ctx, s, t); err != nil { // or what others made of the revision would be judged as its own
		return 0, err
	}
	health := r.site(s.key.Environment).watcher.Load().Health(ctx, s.release, healthOptions(t))
	if again, err := r.pause(ctx, s, t, health); err != nil || again > 0 {
		return again, err
	}
	if health.State != cluster.Ready {
		s.ready, s.tested = time.Time{}, false
	}
	switch health.State {
	case cluster.Ready:
		return r.bake(ctx, s, t)
	case cluster.Failed:
		if !s.armed(t) {
			return look, r.wait(ctx, s, t, health.Reason, s.hear(health))
		}
		return r.failed(ctx, s, t, health)
	case cluster.Waiting:
		if err := r.makeRoom(ctx, s, health); err != nil {
			return 0, err
		}
		switch why, err := r.overdemands(ctx, s, t, health); {
		case err != nil:
			return 0, err
		case why != "":
			return 0, r.fail(ctx, s, t, cause{reason: health.Reason, message: why})
		}
		return look, r.wait(ctx, s, t, health.Reason, s.hear(health))
	}
	// The claim in the spec says already that the release is under way; only a long rollout is worth a write, and
	// what it waited for having come.
	st := s.release.Status
	if st.Phase == v1alpha1.Waiting || st.Reason == "Applied" && !s.applied.IsZero() && time.Since(s.applied) > long {
		s.phase(v1alpha1.Progressing, health.Reason, health.Message)
		return look, r.writeAndReport(ctx, s, t)
	}
	return look, nil
}

// rolledBack watches over a release that is back at its last healthy revision.
func (r *Reconciler) rolledBack(ctx context.Context, s *state, t *target) (time.Duration, error) {
	if again, err := r.drift(ctx, s, t); err != nil || again > 0 {
		return again, err
	}
	return 0, r.unkeep(ctx, s)
}

// armed says that a failure would be this revision's: it has not been healthy yet, or is the one gone back to.
func (s *state) armed(t *target) bool {
	applied, healthy := s.release.Status.Applied, s.release.Status.Healthy
	return t.rollback || applied.ObjectsHash != healthy.ObjectsHash || t.pin != nil && !applied.Time.Equal(&healthy.Time)
}

// dip is how long a healthy release may be unready before its status says so: pods are moved now and then.
const dip = 15 * time.Second

// degraded watches over a healthy release. What ails it now is not its revision, so nothing is rolled back.
func (r *Reconciler) degraded(ctx context.Context, s *state, t *target) (time.Duration, error) {
	health := r.site(s.key.Environment).watcher.Load().Health(ctx, s.release, healthOptions(t))
	switch {
	case health.State == cluster.Ready:
		s.unready = time.Time{}
		return 0, nil
	case s.unready.IsZero():
		s.unready = time.Now()
	}
	if left := dip - time.Since(s.unready); left > 0 {
		return left, nil
	}
	s.unready, s.ready, s.tested = time.Time{}, time.Time{}, false // by the next look it may be ready again
	return look, r.wait(ctx, s, t, health.Reason, s.hear(health))
}

// bake tests a ready release once, turns the traffic to it, and counts it as healthy when it has stayed ready.
func (r *Reconciler) bake(ctx context.Context, s *state, t *target) (time.Duration, error) {
	if s.ready.IsZero() {
		s.ready = time.Now()
	}
	if again, err := r.smoke(ctx, s, t); err != nil || again > 0 || !s.tested {
		return again, err
	}
	if again, err := r.shift(ctx, s, t); err != nil || again > 0 || !s.tested {
		return again, err
	}
	left := r.bakeTime(t.release) - time.Since(s.ready)
	again, passed, err := r.check(ctx, s, t, period{since: s.ready, due: left <= 0})
	if err != nil || !passed {
		return again, err
	}
	if left > 0 {
		return sooner(left, again), nil
	}
	return 0, r.healthy(ctx, s, t)
}

// smoke sends the smoke test once since the release is ready. A bad answer fails a revision that is not healthy yet.
func (r *Reconciler) smoke(ctx context.Context, s *state, t *target) (time.Duration, error) {
	test := t.release.Serving.SmokeTest
	if test == nil || s.tested {
		s.tested = true
		return 0, nil
	}
	err := r.site(s.key.Environment).cluster.SmokeTest(ctx, cluster.Smoke{
		Namespace: s.release.Namespace, Service: s.service(t), Path: test.Path, Body: test.Body, Expect: test.Expect,
	})
	var bad *cluster.SmokeError
	switch {
	case errors.As(err, &bad) && s.armed(t):
		return 0, r.fail(ctx, s, t, cause{reason: "SmokeTestFailed", message: bad.Error()})
	case err != nil:
		return look, r.wait(ctx, s, t, "SmokeTest", err.Error())
	}
	s.tested = true
	return 0, nil
}

// healthy settles a release and deletes what its new revision no longer has: only now, so that the
// generated ConfigMaps outlive the pods that use them.
func (r *Reconciler) healthy(ctx context.Context, s *state, t *target) error {
	st := &s.release.Status
	if err := r.prune(ctx, s, t); err != nil {
		return err
	}
	if err := r.leaveFormer(ctx, s); err != nil {
		return err
	}
	if t.rollback {
		s.outcome(s.wentBack())
		s.phase(v1alpha1.RolledBack, "RolledBack", fmt.Sprintf("%s failed (%s); back at %s", st.Held.Version, st.Held.Reason, st.Applied.Version))
	} else {
		if st.Applied.Commit != st.Healthy.Commit || st.Applied.ObjectsHash != st.Healthy.ObjectsHash {
			s.outcome(s.came(v1alpha1.Healthy, st.Applied))
		}
		st.Healthy = st.Applied
		reason, message := s.well()
		s.phase(v1alpha1.Healthy, reason, message)
	}
	if err := r.write(ctx, s); err != nil {
		return err
	}
	r.record(s, t)
	r.report(ctx, s, t)
	r.point(ctx, s, t)
	r.remind(s)
	if t.rollback && s.back.Load() != nil { // what is newer waits
		r.enqueue(s.key)
	}
	r.lookForDrift(s)
	r.opens(s.key)
	return nil
}

// wait shows a reason outside the revision; nothing is rolled back for it.
func (r *Reconciler) wait(ctx context.Context, s *state, t *target, reason, message string) error {
	if s.release == nil {
		return nil
	}
	st := &s.release.Status
	if st.Phase == v1alpha1.Waiting && st.Reason == reason && st.Message == message {
		return nil
	}
	s.phase(v1alpha1.Waiting, reason, message)
	if err := r.write(ctx, s); err != nil {
		return err
	}
	r.report(ctx, s, t)
	return nil
}

// record remembers that the target's inputs need no more work, unless a hold must be looked at with each tip.
func (r *Reconciler) record(s *state, t *target) {
	s.mark()
	s.served.Store(true)
	if s.held.Load() {
		return
	}
	key, was := t.key, s.recorded.Load()
	s.recorded.Store(&key)
	if want := r.wanted(s.key.Environment); (was == nil || *was != key) && want.keys[s.key] == key {
		r.outcome(want, s.key, true)
	}
}

// write sends the status; when the ModelRelease changed meanwhile and the claim on it is still this one, once
// more on top of that. After a failure nobody knows what the cluster holds: it is read before the next step.
func (r *Reconciler) write(ctx context.Context, s *state) error {
	r.credit(ctx, &s.release.Status)
	written, err := r.site(s.key.Environment).cluster.WriteStatus(ctx, s.release)
	if errors.Is(err, cluster.ErrConflict) {
		var fresh *v1alpha1.ModelRelease
		if fresh, err = r.read(ctx, s); err == nil {
			if fresh == nil || fresh.Spec.Owner != r.cfg.Owner || fresh.Spec.Claim != s.release.Spec.Claim {
				err = errors.New("another controller has claimed it")
			} else {
				fresh.Status = s.release.Status
				written, err = r.site(s.key.Environment).cluster.WriteStatus(ctx, fresh)
			}
		}
	}
	if err != nil {
		s.unsure = true
		return fmt.Errorf("writing the status of %s: %w", s.key, err)
	}
	s.release = written
	r.notifyOutcomes(ctx, s)
	r.note(s)
	return nil
}

func (r *Reconciler) read(ctx context.Context, s *state) (*v1alpha1.ModelRelease, error) {
	return r.site(s.key.Environment).cluster.Release(ctx, s.release.Namespace, s.key.Environment, s.key.Name)
}

// reread takes the cluster's word where a write may have failed half way: what is decided next is decided on
// what was kept.
func (r *Reconciler) reread(ctx context.Context, s *state) error {
	if !s.unsure || s.release == nil {
		return nil
	}
	fresh, err := r.read(ctx, s)
	if err != nil {
		return fmt.Errorf("reading %s again: %w", s.key, err)
	}
	if fresh == nil {
		s.deleted()
		return nil
	}
	s.release, s.unsure, s.ready, s.tested, s.passing, s.looked = fresh, false, time.Time{}, false, "", gitops.Hash{}
	return nil
}
