package reconciler

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pin is what is remembered of a release's pin.
type pin struct {
	at      metav1.MicroTime // which one was taken up
	text    string           // "v1 at 0123456789ab by ada (wrong answers)"
	refused string           // why it can't be applied
	looked  gitops.Hash      // the tip up to which history was read for its end
	lost    bool             // the pin's own tip is not in that history
}

// pinned is the target of a release that a person pinned; nil when nothing is pinned, or the pin has come to its end.
// One that can't be applied leaves the release as it is.
func (r *Reconciler) pinned(ctx context.Context, want *desired, s *state) (*target, error) {
	if s.release == nil || s.release.Spec.Pin == nil {
		s.pin = pin{}
		return nil, nil
	}
	spec := s.release.Spec.Pin
	t, refused := r.pinTarget(ctx, want, s, spec)
	var stuck *stuckError
	if refused != nil && !errors.As(refused, &stuck) {
		return nil, refused
	}
	r.takePin(want, s, t, refused)
	release := want.models.Release(s.key)
	if last := t; release == nil { // a commit that takes it away changes its files, too
		if last == nil {
			last, _ = r.at(ctx, s, s.release.Status.Applied, want.seen)
		}
		if last != nil {
			release = last.release
		}
	}
	by, err := r.pinEnded(ctx, want, s, release)
	switch {
	case err != nil:
		return nil, err
	case !by.IsZero():
		if err := r.unpin(ctx, s, by); err != nil || s.release == nil {
			return nil, err
		}
		return r.pinned(ctx, want, s) // another one may have taken its place
	case t == nil:
		return r.asItIs(ctx, want, s)
	}
	s.release.Status.Held = nil // a person decided
	return t, nil
}

// pinTarget is the revision that a pin names. Why it may not be applied is a *stuckError.
func (r *Reconciler) pinTarget(ctx context.Context, want *desired, s *state, p *v1alpha1.Pin) (*target, error) {
	hash := gitops.ParseHash(p.Commit)
	if hash.IsZero() {
		return nil, &stuckError{fmt.Errorf("%q is not the full hash of a commit", p.Commit)}
	}
	if err := r.mayPin(ctx, want, s, hash); err != nil {
		return nil, err
	}
	t, err := r.at(ctx, s, v1alpha1.Revision{Commit: p.Commit, Version: p.Version}, p.At.Time)
	if err != nil {
		return nil, err
	}
	if namespace := t.release.Environment.Spec.Namespace; namespace != s.release.Namespace {
		return nil, &stuckError{fmt.Errorf("the release was in namespace %s there, and a pin moves no release", namespace)}
	}
	t.pin = p
	return t, nil
}

// mayPin refuses a commit that the environment could not have followed: a pin is no way around who may change what. What
// was applied or healthy here was followed.
func (r *Reconciler) mayPin(ctx context.Context, want *desired, s *state, commit gitops.Hash) error {
	if st := s.release.Status; commit.String() == st.Applied.Commit || commit.String() == st.Healthy.Commit {
		return nil
	}
	return r.followable(ctx, want, s.key.Environment, commit)
}

// followable says why an environment could not have followed a commit; that is a *stuckError.
func (r *Reconciler) followable(ctx context.Context, want *desired, environment string, commit gitops.Hash) error {
	if _, err := r.cfg.Source.Commit(ctx, commit); err != nil {
		return &stuckError{fmt.Errorf("commit %.12s is not in this repository", commit)}
	}
	signers, within := r.cfg.Grants[environment].Signers, r.cfg.Source.IsAncestor
	if signers != nil {
		within = r.cfg.Source.IsFirstParent // what was merged need not be signed
	}
	tip := want.snapshot.Hash()
	ok, err := within(ctx, commit, tip)
	if err != nil {
		return fmt.Errorf("looking for commit %s in the history of %s: %w", commit, tip, err)
	}
	if !ok {
		return &stuckError{fmt.Errorf("commit %.12s is not in the history of %.12s, which %s follows", commit, tip, environment)}
	}
	if signers == nil {
		return nil
	}
	_, err = r.cfg.Source.Verify(ctx, commit, signers) // between two that are signed there may be others
	if unsigned, is := errors.AsType[*gitops.UnsignedError](err); is {
		return &stuckError{unsigned}
	} else if err != nil {
		return fmt.Errorf("verifying the signature of %s: %w", commit, err)
	}
	return nil
}
