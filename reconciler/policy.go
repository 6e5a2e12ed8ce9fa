package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// The reasons for which policy keeps a release back. That of quotas is of davit's own, not of a namespace's.
const (
	ReasonGateClosed    = "GateClosed"
	ReasonFrozen        = "Frozen"
	ReasonQuotaExceeded = "QuotaExceeded"
)

// byPolicy says that a reason is one of policy's: nothing ails what is applied.
func byPolicy(reason string) bool {
	return slices.Contains([]string{ReasonGateClosed, ReasonFrozen, ReasonQuotaExceeded}, reason)
}

// back is why policy keeps a release from going where its commit asks it to.
type back struct {
	reason, why string
	until       time.Time             // when it is looked at again though nothing happens; zero for never
	ends        time.Time             // when it ends as why says; zero where that says nothing
	key         string                // the inputKey that is kept back; "" for a removal
	env         *registry.Environment // whose policy it was, as read
	unsure      bool                  // whether the version was healthy here before could not be told
	noted       bool                  // Git was told of it
}

// backError leaves a release at what is applied until policy lets it go on.
type backError struct{ *back }

func (e *backError) Error() string { return e.why }

// floorOf is what no file can lower in an environment; nil for nothing.
func (r *Reconciler) floorOf(environment string) *registry.Policy {
	return r.cfg.Grants[environment].Policy
}

// stays says what kept these very inputs back when they were looked at last; nil when nothing did.
func (s *state) stays(t *target) *back {
	if b := s.back.Load(); b != nil && b.key == t.key {
		return b
	}
	return nil
}

// exempt says that policy does not stop a target: it is a way back, what a person chose, what is applied already, or what
// was let through and is under way.
func (s *state) exempt(t *target) bool {
	if t.rollback || t.kept || t.pin != nil {
		return true
	}
	if s.release == nil || !s.release.Pending() {
		return false
	}
	claim := s.release.Spec.Claim
	return claim.Commit == t.commit.String() && claim.Version == t.release.ModelVersion.Name
}

// permit is asked when objects would change: whether a freeze or a quota keeps them as they are.
func (r *Reconciler) permit(ctx context.Context, want *desired, s *state, t *target) (time.Duration, error) {
	b, err := r.frozen(ctx, want, s, t)
	if err != nil {
		return 0, err
	}
	if b == nil {
		if b, err = r.overQuota(ctx, want, s, t); err != nil {
			return 0, err
		}
	}
	if b != nil {
		return r.stayBack(ctx, want, s, t, b)
	}
	if !t.rollback {
		s.back.Store(nil)
	}
	return 0, nil
}

// permitAgain spares what permit stopped the building of its image, as long as nothing changed.
func (r *Reconciler) permitAgain(ctx context.Context, want *desired, s *state, t *target) (time.Duration, error) {
	b := s.stays(t)
	if b == nil || b.reason == ReasonGateClosed {
		return 0, nil
	}
	return r.permit(ctx, want, s, t)
}

// stayBack keeps a release at what is applied, which goes on to its outcome meanwhile, and tells why.
func (r *Reconciler) stayBack(ctx context.Context, want *desired, s *state, t *target, b *back) (time.Duration, error) {
	r.keep(want, s, b)
	if b.reason != ReasonFrozen { // which keeps its whole rollout
		r.stepAside(want, s)
	}
	if b.reason == ReasonQuotaExceeded {
		for _, old := range r.left(s.key) { // which may have to make room first
			r.enqueue(old)
		}
	}
	if t.unheld != nil { // the hold ends when what ends it is applied
		s.release.Status.Held = t.unheld
		if s.goesBack(t) {
			r.enqueue(s.key)
			return 0, nil
		}
	}
	if again, err := r.tend(ctx, want, s, t); err != nil || again > 0 {
		return again, err
	}
	if err := r.showBack(ctx, s, t, b); err != nil {
		return r.unclaimed(ctx, s, t, err)
	}
	return 0, &backError{b}
}

// keep remembers why a release stays, and has those looked at that depend on it: they wait for it no less long.
func (r *Reconciler) keep(want *desired, s *state, b *back) {
	was := s.back.Swap(b)
	if was != nil && was.key == b.key {
		b.noted = b.noted || was.noted && was.reason == b.reason
		return
	}
	for _, user := range want.users[s.key] {
		if !r.state(user).at(want.keys[user]) {
			r.enqueue(user)
		}
	}
}

// stepAside has a shared change go on to other releases while this one waits for what that change does not bring.
func (r *Reconciler) stepAside(want *desired, s *state) { r.advance(want.waves[s.key], s.key, true) }

// goesBack says that what is applied failed, and goes back to what was healthy though a newer commit would have ended
// that, because policy keeps the newer one back.
func (s *state) goesBack(t *target) bool {
	st := s.release.Status
	if st.Healthy.Commit == "" || t.release.Environment.Spec.Rollback.OnFailure == "hold" {
		return false
	}
	return st.Phase != v1alpha1.RolledBack && st.Phase != v1alpha1.Held && (st.Phase != v1alpha1.Waiting || !byPolicy(st.Reason))
}

// tend looks after what is applied while something newer is kept back: it comes to its outcome, and is corrected.
func (r *Reconciler) tend(ctx context.Context, want *desired, s *state, t *target) (time.Duration, error) {
	if s.release == nil || s.release.Status.Applied.Commit == "" {
		return 0, nil
	}
	st, watcher := s.release.Status, r.site(s.key.Environment).watcher.Load()
	settled := st.Phase == v1alpha1.Healthy || st.Phase == v1alpha1.RolledBack || st.Phase == v1alpha1.Held || st.Phase == v1alpha1.Waiting && byPolicy(st.Reason)
	if !s.release.Pending() && (st.Phase == v1alpha1.Failed || settled && !s.isReady()) {
		return 0, nil
	}
	well := len(watcher.Drifted(s.release)) == 0 && len(st.Drift) == 0 && watcher.Health(ctx, s.release, healthOptions(t)).State == cluster.Ready
	if settled && well && !s.release.Pending() {
		s.unready = time.Time{}
		return 0, nil
	}
	kept, err := r.asItIs(ctx, want, s)
	if err != nil || kept.stay {
		return 0, err
	}
	if s.release.Pending() { // something else was begun and cut off
		return r.bring(ctx, want, s, kept)
	}
	if !settled {
		if kept.is(st.Applied); !s.inSync(kept) {
			return 0, nil
		}
		again, err := r.settle(ctx, s, kept)
		if err == nil && s.release.Status.Phase == v1alpha1.Failed {
			r.enqueue(s.key) // to go back
			err = errNotItsTurn
		}
		return again, err
	}
	if again, err := r.drift(ctx, s, kept); err != nil || again > 0 {
		return again, err
	}
	return r.degraded(ctx, s, kept)
}

// showBack writes why a release stays, once. One that is new gets a ModelRelease, so that people find it.
func (r *Reconciler) showBack(ctx context.Context, s *state, t *target, b *back) error {
	if s.release == nil {
		t.shown = true
		if err := r.claim(ctx, s, t, nil); err != nil {
			return err
		}
		s.release.Status.Token = s.release.Spec.Claim.Token // nothing of it is applied
	}
	st := s.release.Status
	if st.Phase == v1alpha1.Waiting && st.Reason == b.reason && same(st.Message, b) {
		return r.observe(ctx, s)
	}
	s.phase(v1alpha1.Waiting, b.reason, b.why)
	if err := r.write(ctx, s); err != nil {
		return err
	}
	r.site(s.key.Environment).event(s.release, "Warning", b.reason, b.why)
	if t.release == nil { // a removal, which is no report
		r.cfg.Log.Info("release stays as it is", "release", s.key.String(), "reason", b.reason, "why", b.why)
	} else {
		r.noteBack(s, t, b)
		r.tell(s, t)
		r.begun(s.key.Environment, t.commit)
	}
	return nil
}

// noteBack tells Git, once for each reason, that a revision was kept back. It is no outcome: the ModelRelease, which says so
// for as long as it lasts, keeps none.
func (r *Reconciler) noteBack(s *state, t *target, b *back) {
	if r.cfg.Notes == nil || b.noted {
		return
	}
	b.noted = true
	r.cfg.Notes.Add(t.commit, r.event(s.key, v1alpha1.Outcome{
		Outcome: v1alpha1.Waiting, Version: t.release.ModelVersion.Name, From: s.release.Status.Applied.Version,
		Reason: b.reason, Message: b.why, At: metav1.Now(),
	}))
}

// same says that a message tells what is told already: how long something has lasted is other each time, and when it ends is
// not.
func same(message string, b *back) bool {
	if message == b.why {
		return true
	}
	if b.ends.IsZero() {
		return false
	}
	end := moment(b.ends)
	_, was, told := strings.Cut(message, end)
	_, is, tells := strings.Cut(b.why, end)
	return told && tells && was == is
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// isReady says that what is applied serves, as the status has it.
func (s *state) isReady() bool {
	return meta.IsStatusConditionTrue(s.release.Status.Conditions, v1alpha1.ConditionReady)
}

// versioned says whether a release had, at a commit, the very version that a target has: other files under the same name are
// another one.
func (r *Reconciler) versioned(ctx context.Context, key registry.Key, commit string, t *target) (bool, error) {
	hash := gitops.ParseHash(commit)
	if !r.cfg.Source.Has(hash) {
		return false, nil // of a history that was given up, or that is not here
	}
	snapshot, err := r.cfg.Source.Snapshot(ctx, hash)
	if err != nil {
		return false, fmt.Errorf("reading commit %s: %w", commit, err)
	}
	was, err := snapshot.BlobHash(t.release.ModelVersion.Path)
	is, err2 := t.snapshot.BlobHash(t.release.ModelVersion.Path)
	if err == nil && err2 == nil && was == is {
		return true, nil
	}
	before, err := releaseIn(snapshot, key)
	if _, stuck := errors.AsType[*stuckError](err); stuck {
		return false, nil
	}
	return err == nil && !gate.Promotes(before, t.release), err
}
