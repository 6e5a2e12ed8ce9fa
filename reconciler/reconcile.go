package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// follow is the first half of a commit's way: the tip becomes a snapshot, the snapshot releases, and each
// release whose inputs are not those recorded goes on the queue.
func (r *Reconciler) follow(ctx context.Context, tip gitops.Hash) (err error) {
	r.following.Lock()
	defer r.following.Unlock()
	ctx, traced := r.traceCommit(ctx, tip)
	defer func() { traced(err) }()
	tip, held, err := r.comesAfter(ctx, tip)
	if err != nil || tip.IsZero() {
		return cmp.Or(err, held)
	}
	snapshot, err := r.snapshot(ctx, tip)
	if err != nil {
		return fmt.Errorf("reading commit %s: %w", tip, err)
	}
	if err := snapshot.Absent(); err != nil {
		return err
	}
	models, err := r.load(ctx, snapshot)
	if err != nil {
		return fmt.Errorf("reading the registry%s at %s: %w", r.place(), tip, err)
	}
	before := r.desired.Load()
	next, err := r.desire(ctx, snapshot, models)
	if err != nil {
		return err
	}
	if next.behind, err = r.verify(ctx, next, before); err != nil {
		return err
	}
	r.overtaken(before)
	r.desired.Store(next)
	r.supersede(next)
	r.faulty(next, before)
	r.tipMoved(next.touched(before))
	for _, key := range r.changed(next, next.touched(before)) {
		r.enqueue(key)
		r.begun(key.Environment, next.since[key])
	}
	r.showRollouts()
	r.trainable(next)
	if before == nil {
		r.missed()
		r.soaking(next)
		return cmp.Or(held, next.unverified())
	}
	for _, key := range next.dropped {
		r.advance(before.waves[key], key, true)
	}
	return next.unverified()
}

// reconcile is the second half, for one release: image, objects, apply, health, outcome. It returns when to
// look again if nothing changes before (zero: never). It never runs twice at once for the same release.
func (r *Reconciler) reconcile(ctx context.Context, site *site, s *state) (time.Duration, error) {
	want := r.wanted(s.key.Environment)
	if want == nil || site.watcher.Load() == nil {
		return 0, &parkedError{"the cluster is not reachable; it is tried again"}
	}
	if err := r.reread(ctx, s); err != nil {
		return 0, err
	}
	if suspended, err := r.heed(ctx, site, s); suspended || err != nil {
		return 0, err
	}
	target, err := r.target(ctx, want, s)
	switch {
	case err != nil:
		return 0, err
	case target == nil:
		return 0, r.removeIfGone(ctx, want, s)
	case target.stay:
		return 0, errors.Join(r.withdraw(ctx, s, target), r.stays(ctx, s))
	}
	ctx = r.underWay(ctx, want, s, target)
	if s.inSync(target) {
		r.goesOn(want, s, target)
		return r.settle(ctx, s, target)
	}
	if err := r.superseded(ctx, s, target); err != nil {
		return 0, err
	}
	if again, err := r.turn(ctx, want, s, target); err != nil || again > 0 {
		return again, err
	}
	return r.bring(ctx, want, s, target)
}

// bring takes a release whose turn it is to its target.
func (r *Reconciler) bring(ctx context.Context, want *desired, s *state, target *target) (time.Duration, error) {
	image, err := r.image(ctx, s, target)
	if err != nil {
		return r.unbuilt(ctx, s, target, err)
	}
	objects, err := r.objects(ctx, target, image.Ref)
	if err != nil {
		return 0, r.fail(ctx, s, target, cause{reason: "RenderFailed", message: err.Error()})
	}
	target.image, target.hash, target.rollout, target.uploaded = image.Ref, objects.Hash, objects.Rollout, image.BytesUploaded
	if s.sameObjects(target) {
		return r.settle(ctx, s, target)
	}

	if s.stopped == want.snapshot.Hash() && !s.retry {
		return 0, nil
	}
	s.stopped = gitops.Hash{}
	if again, err := r.permit(ctx, want, s, target); err != nil || again > 0 {
		return again, err
	}
	if err := r.claim(ctx, s, target, cluster.Kinds(objects.Objects)); err != nil {
		r.counted(want, s)
		return r.unclaimed(ctx, s, target, err)
	}
	changes, err := r.apply(ctx, s, target, objects.Objects)
	s.progress(target, changes, err)
	r.counted(want, s)
	if err != nil {
		return r.unapplied(ctx, s, target, err)
	}
	r.tell(s, target)
	return r.settle(ctx, s, target)
}
