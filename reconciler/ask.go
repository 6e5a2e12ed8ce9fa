package reconciler

import (
	"context"
	"fmt"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// heed reads the ModelRelease again when a person changed its spec, and takes up what was asked. A suspended
// release is left alone, until the time returned if it has an end.
func (r *Reconciler) heed(ctx context.Context, site *site, s *state) (suspended bool, again time.Duration, err error) {
	if s.release == nil {
		return false, 0, nil
	}
	if site.watcher.Load().Generation(s.release) > s.release.Generation {
		fresh, err := r.read(ctx, s)
		if err != nil {
			return false, 0, fmt.Errorf("reading %s again: %w", s.key, err)
		}
		if fresh == nil || fresh.Spec.Claim != s.release.Spec.Claim {
			s.unsure = true
			return false, 0, r.reread(ctx, s)
		}
		fresh.Status = s.release.Status // what is known here and not written yet
		s.release = fresh
	}
	if asked := s.release.Spec.Request; asked != nil && !asked.At.Equal(&s.release.Status.Answered) {
		r.answer(s, asked)
	}
	if stop := s.release.Spec.Suspend; stop != nil {
		if stop.Until == nil {
			return true, 0, nil
		}
		if left := time.Until(stop.Until.Time); left > 0 {
			return true, left, nil
		}
	}
	return false, 0, nil
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
	s.passing = ""
}
