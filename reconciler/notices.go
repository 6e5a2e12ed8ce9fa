package reconciler

import (
	"context"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/notify"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// notifyOutcomes sends the outcomes that a status was just written with, the oldest first. It is done where they are
// recorded and from what is new there, so that the next process does not send them again.
func (r *Reconciler) notifyOutcomes(ctx context.Context, s *state) {
	if r.cfg.Notify == nil {
		return
	}
	outcomes := s.release.Status.Outcomes
	if at := slices.IndexFunc(outcomes, func(o v1alpha1.Outcome) bool { return markOf(o) == s.noted }); at >= 0 {
		outcomes = outcomes[:at]
	}
	for _, o := range slices.Backward(outcomes) {
		if m := r.outcomeNotice(ctx, s, o); m.State != "" {
			s.told = false
			r.cfg.Notify(m)
		}
	}
}

// notice is what all of a release's messages have.
func (r *Reconciler) notice(ctx context.Context, s *state, state string, commit gitops.Hash, at time.Time) notify.Message {
	st := s.release.Status
	m := notify.Message{
		Registry: r.cfg.Owner, Environment: s.key.Environment, Release: s.key.Name, State: state, Model: st.Model,
		Commit: commit.String(), Revision: r.cfg.Source.Revision(commit), Author: r.author(ctx, commit), At: at,
	}
	if r.cfg.CommitURL != nil {
		m.URL = r.cfg.CommitURL(m.Commit)
	}
	return m
}

// outcomeNotice is an outcome as a message; it has no state where nobody is told.
func (r *Reconciler) outcomeNotice(ctx context.Context, s *state, o v1alpha1.Outcome) notify.Message {
	states := map[v1alpha1.Phase]string{
		v1alpha1.Healthy: notify.Healthy, v1alpha1.Failed: notify.Failed, v1alpha1.RolledBack: notify.RolledBack, v1alpha1.Pinned: notify.Pinned,
	}
	state, st := states[o.Outcome], s.release.Status
	if state == "" {
		return notify.Message{}
	}
	if o.Outcome == v1alpha1.Failed && st.Phase == v1alpha1.Held {
		state = notify.Held
	}
	m := r.notice(ctx, s, state, gitops.ParseHash(o.Commit), o.At.Time)
	m.Version, m.From, m.Image, m.Reason, m.Text, m.By = o.Version, o.From, o.Image, o.Reason, o.Message, o.By
	switch {
	case o.Serves != nil:
		m.Serves = o.Serves.Version
	case state == notify.Held:
		m.Serves = st.Healthy.Version
	}
	return m
}

// notifyPhase sends that a release waits, and that it is well again without an outcome of its own.
func (r *Reconciler) notifyPhase(ctx context.Context, s *state, t *target) {
	st, waited := s.release.Status, s.told
	s.told = st.Phase == v1alpha1.Waiting || waited && st.Phase == v1alpha1.Progressing
	if r.cfg.Notify == nil || s.told == waited {
		return
	}
	var m notify.Message
	switch st.Phase {
	case v1alpha1.Waiting:
		m = r.notice(ctx, s, notify.Waiting, t.commit, time.Now())
		m.Reason, m.Text = st.Reason, s.said()
	case v1alpha1.Healthy:
		m = r.notice(ctx, s, notify.Healthy, t.commit, time.Now())
		m.Text = "it waits no longer"
	default:
		return
	}
	m.Version, m.Image = t.release.ModelVersion.Name, t.image
	r.cfg.Notify(m)
}

// notifyProposed sends that a proposal waits.
func (r *Reconciler) notifyProposed(ctx context.Context, s *state, p proposedChange) {
	if r.cfg.Notify == nil {
		return
	}
	m := r.notice(ctx, s, notify.Proposed, gitops.ParseHash(s.release.Status.Applied.Commit), time.Now())
	m.Version, m.From, m.Text = p.version, s.release.Status.Applied.Version, "it is proposed "+p.text
	if isURL(p.where) {
		m.URL = p.where
	} else {
		m.Text += " (branch " + p.where + ")"
	}
	r.cfg.Notify(m)
}

// notifyRun sends how a training's run ended. One that was canceled was so on purpose.
func (r *Reconciler) notifyRun(ctx context.Context, x *running) {
	states := map[gitops.RunState]string{gitops.RunSucceeded: notify.TrainingSucceeded, gitops.RunFailed: notify.TrainingFailed, gitops.RunLost: notify.TrainingFailed}
	state := states[x.State]
	if r.cfg.Notify == nil || state == "" {
		return
	}
	commit := gitops.ParseHash(x.Commit)
	m := notify.Message{
		Registry: r.cfg.Owner, Environment: x.Environment, Training: x.Training, State: state, Version: x.Name, Image: x.Image,
		Commit: x.Commit, Author: r.author(ctx, commit), Reason: x.Reason, Text: x.Message, At: x.Ended,
	}
	if !commit.IsZero() {
		m.Revision = r.cfg.Source.Revision(commit)
	}
	if r.cfg.CommitURL != nil {
		m.URL = r.cfg.CommitURL(x.Commit)
	}
	r.cfg.Notify(m)
}
