package reconciler

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// shownBy is how long after a claim a watch may not show it yet.
const shownBy = 2 * time.Second

// noticeDeleted looks whether a person deleted the ModelRelease. There is no finalizer that would have held it: a namespace
// that is deleted would hang on it wherever no controller runs.
func (r *Reconciler) noticeDeleted(ctx context.Context, site *site, s *state) error {
	switch {
	case site.watcher.Load().Generation(s.release) > 0:
		s.listed = true
		return nil
	case !s.listed && time.Since(s.release.Spec.Claim.Time.Time) < shownBy:
		return nil
	}
	fresh, err := r.read(ctx, s)
	if err != nil || fresh != nil {
		return err
	}
	r.cfg.Log.Info("ModelRelease was deleted", "release", s.key.String(), "namespace", s.release.Namespace, "deletionPolicy", string(s.release.Spec.DeletionPolicy))
	s.deleted()
	return nil
}

// deleted forgets what a ModelRelease said that is not there any more, holds, pins and suspensions included, and remembers
// what it left.
func (s *state) deleted() {
	if s.release == nil {
		return
	}
	s.left, s.release = s.release, nil
	s.listed, s.retry, s.unsure, s.tested, s.passing, s.heard = false, false, false, false, "", ""
	s.noted, s.pin, s.stopped, s.looked = mark{}, pin{}, gitops.Hash{}, gitops.Hash{}
	s.ready, s.unready, s.applied = time.Time{}, time.Time{}, time.Time{}
	s.held.Store(false)
	s.still.Store(false)
	s.recorded.Store(nil)
	s.shown.Store(nil)
	s.seen.Store(nil)
	s.past.Store(nil)
	s.steady.Store(0)
	s.claimed.Store("")
	s.inCluster.Store(false)
}

// leftKinds are the kinds of what a deleted ModelRelease left.
func (s *state) leftKinds() (kinds []schema.GroupKind) {
	if s.left == nil {
		return nil
	}
	for _, ref := range s.left.Status.Inventory {
		kinds = append(kinds, ref.GroupKind())
	}
	return kinds
}

// inherit has the new ModelRelease hold what the deleted one left: by the policy Delete it is deleted, which ends in the
// objects being made anew, and otherwise it is there as what may have to be pruned. That the claim succeeded says that
// neither the namespace nor davit's API is on its way out: then nothing is deleted here.
func (r *Reconciler) inherit(ctx context.Context, s *state) error {
	left := s.left
	if left == nil || left.Namespace != s.release.Namespace {
		s.left = nil
		return nil
	}
	if r.deletes(ctx, s.key, left) {
		set, err := r.site(s.key.Environment).cluster.Prune(ctx, left, nil)
		if left.Status.Inventory = set.Inventory; err != nil {
			return fmt.Errorf("deleting the objects of %s, whose ModelRelease was deleted: %w", s.key, err)
		}
		r.site(s.key.Environment).event(s.release, "Normal", "Deleted", "its ModelRelease was deleted with deletionPolicy Delete: its objects are deleted and made anew")
	}
	st := &s.release.Status
	for _, ref := range left.Status.Inventory {
		ref.Stale, ref.Hash, ref.Fields = true, "", ""
		st.Inventory = append(st.Inventory, ref)
	}
	s.left = nil
	return nil
}

// deletes says whether a person asked for the objects of a deleted ModelRelease to be deleted. Nobody did by deleting the
// CRD, with every ModelRelease there is; and where that can't be told, what serves goes on serving.
func (r *Reconciler) deletes(ctx context.Context, key registry.Key, left *v1alpha1.ModelRelease) bool {
	if left.Spec.DeletionPolicy != v1alpha1.Delete {
		return false
	}
	err := r.site(key.Environment).cluster.KindInstalled(ctx, left)
	if err != nil {
		r.cfg.Log.Warn("objects of a deleted ModelRelease stay as they are", "release", key.String(), "why", err)
	}
	return err == nil
}

// leftOver takes a deleted ModelRelease up again of which the registry has no release any more: what it left goes as with
// any other, by the same guards.
func (s *state) leftOver() {
	if s.release == nil && s.left != nil {
		s.release, s.left = s.left, nil
	}
}
