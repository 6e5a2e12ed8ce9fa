package reconciler

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// removeIfGone deletes a release the registry no longer has, unless a guard stops it. One that was renamed goes when
// its successor is healthy.
func (r *Reconciler) removeIfGone(ctx context.Context, want *desired, s *state) error {
	s.leftOver()
	if s.release == nil && len(s.moved) == 0 {
		r.forget(s)
		return nil
	}
	if why := want.refused[s.key.Environment]; why != "" {
		return &stuckError{fmt.Errorf("%s is not in the registry any more and is not deleted: %s", s.key, why)}
	}
	if b, err := r.frozenRemoval(ctx, want, s); err != nil {
		return err
	} else if b != nil {
		return r.removalBack(ctx, s, b)
	}
	if next, ok := r.successor(want, s); ok && !r.makesRoom(want, next) {
		r.leave(s.key, next)
		why := fmt.Sprintf("goes when %s is healthy, which serves the same model", next)
		if r.state(next).still.Load() { // by nothing but another commit or a person, and nobody is to wait for that
			return &stuckError{errors.New(why)}
		}
		return &parkedError{why}
	}
	last := elsewhere{ModelRelease: s.release}
	if s.release == nil {
		last = s.moved[len(s.moved)-1]
	}
	was := last.Status.Applied
	if err := r.part(ctx, want, s, last); err != nil {
		return err
	}
	if s.release != nil {
		s.moved = append(s.moved, last)
	}
	s.release = nil
	if err := r.leaveFormer(ctx, s); err != nil {
		return fmt.Errorf("deleting %s: %w", s.key, err)
	}
	r.freed(want, s)
	r.cfg.Report(Report{Key: s.key, Version: was.Version, Phase: Removed, Took: time.Since(want.seen)})
	s.inCluster.Store(false)
	r.forget(s)
	r.settledProposals(s.key)
	return nil
}

// successor is a release of the same model in the same environment that has never been healthy: what a rename looks
// like.
func (r *Reconciler) successor(want *desired, s *state) (registry.Key, bool) {
	if s.release == nil {
		return registry.Key{}, false
	}
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
