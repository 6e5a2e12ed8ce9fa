package reconciler

import (
	"context"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// takePin shows a pin that is new, or what became of it. A release that is pinned holds up no shared change.
func (r *Reconciler) takePin(want *desired, s *state, t *target, refused error) {
	spec, st := s.release.Spec.Pin, &s.release.Status
	first := !s.pin.at.Equal(&spec.At)
	if first {
		s.pin, s.stopped, s.passing = pin{at: spec.At}, gitops.Hash{}, ""
		s.recorded.Store(nil)
		r.advance(want.waves[s.key], s.key, true)
	}
	name, version := st.Pinned, spec.Version
	if t != nil {
		version = t.release.ModelVersion.Name
	}
	if st.Pinned = fmt.Sprintf("%s at %.12s", version, spec.Commit); version == "" {
		st.Pinned = fmt.Sprintf("%.12s", spec.Commit)
	}
	s.pin.text = st.Pinned + by(spec)
	before := s.pin.refused
	s.pin.refused = ""
	if refused != nil {
		s.pin.refused = fmt.Sprintf("can't be pinned to %s: %v; nothing changes until davit rollback %s pins another revision or davit resume %s ends the pin", s.pin.text, refused, s.key, s.key)
	}
	site := r.site(s.key.Environment)
	switch {
	case s.pin.refused != "" && s.pin.refused != before && st.Message != s.pin.refused:
		site.event(s.release, "Warning", pinRefused, s.pin.refused)
	case s.pin.refused == "" && first && st.Pinned != name:
		site.event(s.release, "Normal", pinReason, "pinned to "+s.pin.text)
		if t != nil && (st.Applied.Commit != spec.Commit || st.Applied.Version != version) {
			s.outcome(s.turnedAway(spec, t))
		}
		r.cfg.Log.Info("release pinned", "release", s.key.String(), "to", s.pin.text)
	}
}

func by(p *v1alpha1.Pin) (text string) {
	if p.By != "" {
		text = " by " + p.By
	}
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

// The reasons of a pinned release's status and Events.
const (
	pinReason  = "Pinned"
	pinRefused = "PinRefused"
	pinEnded   = "PinEnded"
)

// well is why a release is healthy where it is.
func (s *state) well() (reason, message string) {
	switch {
	case s.release.Spec.Pin == nil:
		return string(v1alpha1.Healthy), ""
	case s.pin.refused != "":
		return pinRefused, s.pin.refused
	case s.pin.lost:
		return pinReason, fmt.Sprintf("pinned to %s; the branch's commit of then is not in its history, so the pin lasts until davit resume %s", s.pin.text, s.key)
	}
	return pinReason, fmt.Sprintf("pinned to %s; it ends with the next change of the release's own files, or by davit resume %s", s.pin.text, s.key)
}

// unpinned says that a pin has ended, and that nothing has told so yet of what it left.
func (s *state) unpinned(t *target) bool {
	st := s.release.Status
	return st.Pinned != "" && s.release.Spec.Pin == nil && st.Applied.Commit != t.commit.String() && !t.rollback && !t.kept
}

// showPin has the status of a settled release tell of a pin that is new, refused or ended where nothing else is to be done.
func (r *Reconciler) showPin(ctx context.Context, s *state, t *target) error {
	st := &s.release.Status
	reason, message := s.well()
	switch st.Phase {
	case v1alpha1.Healthy:
	case v1alpha1.RolledBack, v1alpha1.Held, v1alpha1.Failed:
		if st.Reason != pinRefused && reason != pinRefused || st.Held == nil {
			return nil
		}
		if reason != pinRefused {
			reason, message = string(st.Phase), st.Held.Reason
		}
	default:
		return nil
	}
	if st.Reason == reason && st.Message == message {
		return nil
	}
	s.phase(st.Phase, reason, message)
	return r.writeAndReport(ctx, s, t)
}

// failPinned settles a pinned revision as failed. It stays: a person chose it, and chooses what comes next.
func (r *Reconciler) failPinned(ctx context.Context, s *state, t *target, why cause) error {
	st := &s.release.Status
	s.stopped = r.wanted(s.key.Environment).snapshot.Hash()
	text := fmt.Sprintf("%s%s, and failed: %s; nothing is rolled back: davit rollback %s pins another revision, davit resume %s goes back to the branch", pinnedTo, s.pin.text, why.sentence(), s.key, s.key)
	if st.Phase == v1alpha1.Failed && st.Message == text {
		return r.observe(ctx, s) // said before, and perhaps claimed and refused once more
	}
	bad := t.revision()
	if t.hash != "" && st.Applied.ObjectsHash == t.hash {
		bad = st.Applied
	}
	s.outcome(s.came(v1alpha1.Failed, bad).because(why, r.logs(t)))
	s.phase(v1alpha1.Failed, why.reason, text)
	return r.writeAndReport(ctx, s, t)
}

const pinnedTo = "pinned to "

// pinFailed says that the pinned revision is what failed.
func (s *state) pinFailed(t *target) bool {
	return t.pin != nil && strings.HasPrefix(s.release.Status.Message, pinnedTo)
}
