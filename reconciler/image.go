package reconciler

import (
	"context"
	"errors"

	"github.com/davit-dev/davit/registry/image"
)

// errSuperseded ends the building of an image that no commit asks for any more.
var errSuperseded = errors.New("a newer commit asks for something else")

// image finds or builds a target's model image, until a newer commit changes the release's inputs: weights can
// take hours to upload, and the revert of their promotion does not wait for them.
func (r *Reconciler) image(ctx context.Context, s *state, t *target) (image.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !t.rollback && !t.kept {
		s.build.Store(&building{key: t.key, cancel: func() { cancel(errSuperseded) }})
		defer s.build.Store(nil)
	}
	if !t.rollback && !t.kept && r.wanted(s.key.Environment).keys[s.key] != t.key {
		return image.Result{}, errSuperseded // it came before there was something to cancel
	}
	result, err := r.cfg.Images.Ensure(ctx, t.snapshot, t.release.Repository(), t.release.ModelVersion)
	if err != nil && context.Cause(ctx) == errSuperseded {
		return image.Result{}, errSuperseded
	}
	return result, err
}

// supersede cancels the builds for inputs that are no longer desired.
func (r *Reconciler) supersede(tip *desired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.states {
		if b := s.build.Load(); b != nil && tip.behind[key.Environment].why == nil && b.key != tip.keys[key] {
			b.cancel()
		}
	}
}
