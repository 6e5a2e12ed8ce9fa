package reconciler

import (
	"context"
	"fmt"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// heed reads the ModelRelease again when a person changed its spec, and takes up what was asked. A suspended
// release is left alone, and looked at again when the suspension ends.
func (r *Reconciler) heed(ctx context.Context, site *site, s *state) (suspended bool, err error) {
	if s.release == nil {
		return false, nil
	}
	if err := r.noticeDeleted(ctx, site, s); err != nil || s.release == nil {
		return false, err
	}
	if site.watcher.Load().Generation(s.release) > s.release.Generation {
		if err := r.refresh(ctx, s); err != nil || s.release == nil {
			return false, err
		}
	}
	if asked := s.release.Spec.Request; asked != nil && !asked.At.Equal(&s.release.Status.Answered) {
		r.answer(s, asked)
	}
	stop := s.release.Spec.Suspend
	s.mark()
	if err := r.tellSuspended(ctx, site, s); err != nil {
		return false, err
	}
	if stop != nil {
		if stop.Until == nil {
			return true, r.observe(ctx, s)
		}
		if left := time.Until(stop.Until.Time); left > 0 {
			site.queue.AddAfter(s.key, left)
			return true, r.observe(ctx, s)
		}
	}
	return false, nil
}

// refresh takes over a spec that a person changed, and keeps what is known here of the status and not written yet.
func (r *Reconciler) refresh(ctx context.Context, s *state) error {
	fresh, err := r.read(ctx, s)
	if err != nil {
		return fmt.Errorf("reading %s again: %w", s.key, err)
	}
	if fresh == nil || fresh.Spec.Claim != s.release.Spec.Claim {
		s.unsure = true
		return r.reread(ctx, s)
	}
	fresh.Status = s.release.Status
	s.release = fresh
	return nil
}

// stays answers a spec that a person changed of a release for which nothing is to be done.
func (r *Reconciler) stays(ctx context.Context, s *state) error {
	if s.release == nil || s.release.Status.Phase == "" {
		return nil
	}
	switch st := &s.release.Status; {
	case s.release.Spec.Pin != nil && s.pin.refused != "" && st.Message != s.pin.refused:
		s.phase(st.Phase, pinRefused, s.pin.refused)
	case s.release.Spec.Pin == nil && st.Reason == pinRefused && st.Held != nil:
		s.phase(st.Phase, string(st.Phase), st.Held.Reason)
	default:
		return r.observe(ctx, s)
	}
	return r.write(ctx, s)
}

// observe answers a spec that a person changed when nothing else writes the status: otherwise kstatus would wait for
// an answer, and the next controller take the request up again.
func (r *Reconciler) observe(ctx context.Context, s *state) error {
	st := s.release.Status
	if s.release.Pending() || st.ObservedGeneration == s.release.Generation {
		return nil
	}
	s.phase(st.Phase, st.Reason, st.Message)
	return r.write(ctx, s)
}

// answer takes up a request: the next status write says so. Either one ends a hold, and a retry applies again
// whatever is recorded.
func (r *Reconciler) answer(s *state, asked *v1alpha1.Request) {
	st := &s.release.Status
	st.Answered = asked.At
	st.Held = nil
	if st.Phase != v1alpha1.Healthy {
		s.phase(v1alpha1.Progressing, string(asked.Action), "asked for by "+asked.By)
	}
	s.retry = asked.Action == v1alpha1.Retry
	s.recorded.Store(nil)
	s.passing, s.stopped = "", gitops.Hash{}
}
