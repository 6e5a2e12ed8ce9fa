package reconciler

import (
	"context"
	"fmt"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// follow is the first half of a commit's way: the tip becomes a snapshot, the snapshot releases, and each
// release whose inputs are not those recorded goes on the queue.
func (r *Reconciler) follow(ctx context.Context, tip gitops.Hash) error {
	snapshot, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return fmt.Errorf("reading commit %s: %w", tip, err)
	}
	models, err := registry.Load(snapshot)
	if err != nil {
		return fmt.Errorf("reading the registry at %s: %w", tip, err)
	}
	next, err := r.desire(ctx, snapshot, models)
	if err != nil {
		return err
	}
	r.desired.Store(next)
	r.supersede(next)
	for _, key := range r.changed(next) {
		r.enqueue(key)
	}
	return nil
}

// reconcile is the second half, for one release: image, objects, apply, health, outcome. It returns when to
// look again if nothing changes before (zero: never). It never runs twice at once for the same release.
func (r *Reconciler) reconcile(ctx context.Context, s *state) (time.Duration, error) {
	want := r.desired.Load()
	if err := r.reread(ctx, s); err != nil {
		return 0, err
	}
	target, err := r.target(ctx, want, s)
	if err != nil {
		return 0, err
	}
	switch {
	case target == nil:
		return 0, r.removeIfGone(ctx, want, s)
	case target.stay:
		return 0, nil
	case s.inSync(target):
		target.is(s.release.Status.Applied)
		return r.settle(ctx, s, target)
	}

	image, err := r.image(ctx, s, target)
	if err != nil {
		return r.unbuilt(ctx, s, target, err)
	}
	objects, err := render.Release(target.snapshot, target.release, image.Ref)
	if err != nil {
		return 0, r.fail(ctx, s, target, "RenderFailed", err.Error())
	}
	target.image, target.hash, target.uploaded = image.Ref, objects.Hash, image.BytesUploaded
	if s.sameObjects(target) {
		return r.settle(ctx, s, target)
	}

	if err := r.claim(ctx, s, target, cluster.Kinds(objects.Objects)); err != nil {
		return r.unclaimed(ctx, s, target, err)
	}
	changes, err := r.cfg.Cluster.Apply(ctx, s.release, objects.Objects)
	s.progress(target, changes, err)
	if err != nil {
		return r.unapplied(ctx, s, target, err)
	}
	r.tell(s, target)
	return r.settle(ctx, s, target)
}
