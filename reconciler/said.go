package reconciler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// said is the status' message without what a container wrote: more people read Events and notifications than may read
// logs, and those can hold prompts and keys.
func (s *state) said() string {
	st := &s.release.Status
	failed, known := s.lastFailure()
	switch st.Phase {
	case v1alpha1.Failed:
		if known {
			return failed.Message
		}
		return st.Reason
	case v1alpha1.Held:
		return fmt.Sprintf("it is held: %s; %s goes on serving", failed.Message, st.Healthy.Version)
	case v1alpha1.RolledBack:
		return fmt.Sprintf("%s failed (%s: %s); back at %s", failed.Version, failed.Reason, failed.Message, st.Applied.Version)
	}
	if s.heard != "" {
		return strings.TrimSuffix(st.Message, ": "+s.heard)
	}
	return st.Message
}

// lastFailure is the newest outcome that failed.
func (s *state) lastFailure() (v1alpha1.Outcome, bool) {
	outcomes := s.release.Status.Outcomes
	i := slices.IndexFunc(outcomes, func(o v1alpha1.Outcome) bool {
		return o.Outcome == v1alpha1.Failed || o.Outcome == v1alpha1.RolledBack
	})
	if i < 0 {
		return v1alpha1.Outcome{}, false
	}
	return outcomes[i], true
}

// hear remembers what of a health's sentence a container wrote, and returns the sentence.
func (s *state) hear(health cluster.Health) string {
	text := health.Sentence()
	s.heard = strings.TrimPrefix(strings.TrimPrefix(text, health.Message), ": ")
	return text
}

// quietFor is how long the same Event of a release that is under way is not told again: pods flap.
const quietFor = 10 * time.Minute

// repeats says that an Event was written a short while ago. What comes of a release is always told.
func (s *state) repeats(reason, text string) bool {
	if phase := s.release.Status.Phase; phase != v1alpha1.Waiting && phase != v1alpha1.Progressing {
		return false
	}
	what := reason + " " + text
	if time.Since(s.recent[what]) < quietFor {
		return true
	}
	if s.recent == nil || len(s.recent) > 10 {
		s.recent = map[string]time.Time{}
	}
	s.recent[what] = time.Now()
	return false
}

// announce is the Event of the phase a release is in now.
func (r *Reconciler) announce(s *state, t *target) {
	st := s.release.Status
	kind, text := "Normal", string(st.Phase)+" at "+t.release.ModelVersion.String()
	if st.Held != nil || st.Phase == v1alpha1.Failed {
		kind = "Warning"
	}
	if st.Phase == v1alpha1.Healthy && st.Author != "" {
		text += ", " + st.Revision + " by " + st.Author
	}
	if said := s.said(); said != "" {
		text += ": " + said
	}
	if !s.repeats(st.Reason, text) {
		r.site(s.key.Environment).event(s.release, kind, st.Reason, text)
	}
}

// proposedChange is a proposal that waits for a person, or for a rule: of a version, what it is for, and where people find
// it, which is the URL of a pull request or a branch.
type proposedChange struct{ version, text, where string }

// proposed tells of a proposal.
func (r *Reconciler) proposed(ctx context.Context, s *state, p proposedChange) {
	r.site(s.key.Environment).event(s.release, "Normal", "Proposed", p.text+": "+p.where)
	r.notifyProposed(ctx, s, p)
}
