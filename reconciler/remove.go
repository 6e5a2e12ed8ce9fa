package reconciler

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// removeIfGone deletes a release the registry no longer has, unless a guard stops it. One that was renamed goes when
// its successor is healthy.
func (r *Reconciler) removeIfGone(ctx context.Context, want *desired, s *state) error {
	if s.release == nil {
		r.forget(s)
		return nil
	}
	if why := want.refused[s.key.Environment]; why != "" {
		return &stuckError{fmt.Errorf("%s is not in the registry any more and is not deleted: %s", s.key, why)}
	}
	if next, ok := r.successor(want, s); ok {
		r.leave(s.key, next)
		return &parkedError{fmt.Sprintf("goes when %s is healthy, which serves the same model", next)}
	}
	for _, mr := range append(s.moved, s.release) {
		if err := r.delete(ctx, mr); err != nil {
			return fmt.Errorf("deleting %s: %w", s.key, err)
		}
	}
	r.cfg.Report(Report{Key: s.key, Version: s.release.Status.Applied.Version, Phase: Removed, Took: time.Since(want.seen)})
	s.release, s.moved = nil, nil
	s.inCluster.Store(false)
	r.forget(s)
	return nil
}

// successor is a release of the same model in the same environment that has never been healthy: what a rename looks
// like.
func (r *Reconciler) successor(want *desired, s *state) (registry.Key, bool) {
	repository, _, _ := strings.Cut(s.release.Status.Applied.Image, "@")
	for _, release := range want.models.Releases {
		key := release.Key()
		if key.Environment != s.key.Environment || release.Model.Name != path.Base(repository) {
			continue
		}
		if next := r.state(key); next.recorded.Load() == nil && !next.served.Load() {
			return key, true
		}
	}
	return registry.Key{}, false
}

// leave remembers that a release goes when its successor is healthy.
func (r *Reconciler) leave(old, next registry.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving[old] = next
}

// left lists those that may go now that a release is healthy.
func (r *Reconciler) left(next registry.Key) (old []registry.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, successor := range r.leaving {
		if successor == next {
			old = append(old, key)
			delete(r.leaving, key)
		}
	}
	return old
}

func (r *Reconciler) forget(s *state) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.states, s.key)
}

// delete deletes a release from the cluster, also when somebody labelled its ModelRelease meanwhile.
func (r *Reconciler) delete(ctx context.Context, mr *v1alpha1.ModelRelease) error {
	err := r.site(mr.Spec.Environment).cluster.Delete(ctx, mr)
	if !errors.Is(err, cluster.ErrConflict) {
		return err
	}
	fresh, readErr := r.site(mr.Spec.Environment).cluster.Release(ctx, mr.Namespace, mr.Spec.Environment, mr.Spec.Release)
	if readErr != nil || fresh == nil || fresh.Spec.Claim != mr.Spec.Claim {
		return errors.Join(err, readErr)
	}
	return r.site(mr.Spec.Environment).cluster.Delete(ctx, fresh)
}
