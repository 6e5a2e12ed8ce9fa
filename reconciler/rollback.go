package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// fail settles a revision as failed for a cause inside it and holds it back. A release that was healthy
// before goes back there by itself, once: a failed rollback, a first revision and the policy "hold" stay.
func (r *Reconciler) fail(ctx context.Context, s *state, t *target, why cause) error {
	if s.release == nil || s.release.Namespace != t.release.Environment.Spec.Namespace {
		if err := r.claim(ctx, s, t, nil); err != nil {
			return err
		}
		s.release.Status.Token = s.release.Spec.Claim.Token // nothing of it was applied
	}
	if err := r.withdraw(ctx, s, t); err != nil { // the rollback turns it back, too
		r.cfg.Log.Warn("traffic not taken back yet", "release", s.key.String(), "error", err)
	}
	if t.pin != nil {
		return r.failPinned(ctx, s, t, why)
	}
	st := &s.release.Status
	text := why.reason + ": " + why.sentence()
	if t.rollback {
		s.stopped = r.wanted(s.key.Environment).snapshot.Hash()
		if st.Phase == v1alpha1.Failed && st.Message == text {
			return r.observe(ctx, s) // said before
		}
		s.outcome(s.came(v1alpha1.Failed, st.Healthy).because(why, r.logs(t)))
		s.phase(v1alpha1.Failed, "RollbackFailed", text)
		return r.writeAndReport(ctx, s, t)
	}
	bad := t.revision()
	applied := t.hash != "" && st.Applied.ObjectsHash == t.hash
	if applied { // not the commit that came after it and asks for the same objects
		bad = st.Applied
	}
	s.outcome(s.came(v1alpha1.Failed, bad).because(why, r.logs(t)))
	st.Held = &v1alpha1.HeldRevision{Commit: bad.Commit, Version: bad.Version, ObjectsHash: bad.ObjectsHash, Reason: text, Time: metav1.Now()}
	s.looked = t.snapshot.Hash()
	s.recorded.Store(nil)
	s.held.Store(true)
	s.still.Store(true)
	r.outcome(r.wanted(s.key.Environment), s.key, false)
	if !applied && st.Healthy.Commit != "" && st.Applied.ObjectsHash == st.Healthy.ObjectsHash {
		s.phase(v1alpha1.Held, why.reason, fmt.Sprintf("%s is held: %s; %s goes on serving", st.Held.Version, why.sentence(), st.Healthy.Version))
		if err := r.writeAndReport(ctx, s, t); err != nil {
			return err
		}
		r.lookForDrift(s)
		return nil
	}
	s.phase(v1alpha1.Failed, why.reason, why.sentence())
	if err := r.writeAndReport(ctx, s, t); err != nil {
		return err
	}
	if st.Healthy.Commit != "" && t.release.Environment.Spec.Rollback.OnFailure != "hold" {
		r.enqueue(s.key)
	}
	return nil
}

// failed acts on what the watches call a failure. That an image is not there is asked of the OCI registry
// first: a node may say so while its registry is only out of reach.
func (r *Reconciler) failed(ctx context.Context, s *state, t *target, health cluster.Health) (time.Duration, error) {
	if health.Reason != cluster.ReasonImageNotFound {
		return 0, r.fail(ctx, s, t, cause{health.Reason, health.Message, health.LastLog, health.ExitCode})
	}
	for _, ref := range []string{health.Image, s.release.Status.Applied.Image, t.release.Runtime.Spec.Image} {
		if ref == "" {
			continue
		}
		switch there, err := r.cfg.Images.Exists(ctx, ref); {
		case err != nil:
			return look, r.wait(ctx, s, t, "ImageRegistry", err.Error())
		case !there:
			return 0, r.fail(ctx, s, t, cause{reason: health.Reason, message: "no such image: " + ref})
		}
	}
	return look, r.wait(ctx, s, t, "ImagePull", health.Message)
}

// unbuilt tells a model image that can't be made from an OCI registry or source out of reach.
func (r *Reconciler) unbuilt(ctx context.Context, s *state, t *target, err error) (time.Duration, error) {
	var content *image.ContentError
	switch {
	case errors.Is(err, errSuperseded):
		return 0, nil // the newer commit has queued the release again
	case errors.As(err, &content):
		return 0, r.fail(ctx, s, t, cause{reason: "ImageFailed", message: content.Error()})
	}
	reason := "ImageRegistry"
	if _, unsigned := errors.AsType[*image.UnsignedError](err); unsigned {
		reason = "ImageNotSigned" // it may be signed any time
	}
	if waitErr := r.wait(ctx, s, t, reason, err.Error()); waitErr != nil {
		return 0, waitErr
	}
	return 0, err
}

// unclaimed tells a rewritten branch and another owner, which a person has to accept, from a lost race.
func (r *Reconciler) unclaimed(ctx context.Context, s *state, t *target, err error) (time.Duration, error) {
	var rewritten *RewrittenError
	var other *cluster.ErrOtherOwner
	switch {
	case errors.As(err, &rewritten):
		return 0, r.wait(ctx, s, t, "HistoryRewritten", rewritten.Error())
	case errors.As(err, &other):
		return 0, &stuckError{fmt.Errorf("%w; davit sync --take-over takes it", err)}
	}
	return 0, err
}

// stuckError is a failure that only a person ends: trying again is of no use.
type stuckError struct{ error }

func (e *stuckError) Unwrap() error { return e.error }

// unapplied tells an object the API server refuses, which is the revision's fault, from one that belongs to somebody
// else, one that has to end first, and an API server out of reach.
func (r *Reconciler) unapplied(ctx context.Context, s *state, t *target, err error) (time.Duration, error) {
	var refused *cluster.RefusedError
	var conflict *cluster.ConflictError
	var busy *cluster.BusyError
	switch {
	case errors.As(err, &refused):
		return 0, r.fail(ctx, s, t, cause{reason: "Refused", message: refused.Error()})
	case errors.As(err, &conflict):
		s.stopped = r.wanted(s.key.Environment).snapshot.Hash()
		return 0, errors.Join(&stuckError{conflict}, r.wait(ctx, s, t, "Conflict", conflict.Error()))
	case errors.As(err, new(*cluster.SealedError)):
		return 0, errors.Join(fmt.Errorf("applying %s: %w", s.key, err), r.wait(ctx, s, t, "DecryptionFailed", err.Error()))
	case errors.As(err, &busy):
		return look, r.wait(ctx, s, t, "Busy", busy.Error())
	}
	return 0, errors.Join(fmt.Errorf("applying %s: %w", s.key, err), r.wait(ctx, s, t, "ApplyFailed", err.Error()))
}

func (r *Reconciler) writeAndReport(ctx context.Context, s *state, t *target) error {
	if err := r.write(ctx, s); err != nil {
		return err
	}
	r.report(ctx, s, t)
	return nil
}
