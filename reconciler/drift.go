package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/render"
)

// A fight is somebody changing back what davit corrected. From the third correction within fightWindow on, each
// waits twice as long as the one before.
const (
	fightWindow = 5 * time.Minute
	fightAfter  = 3
	fightStep   = 5 * time.Second
	fightMax    = 10 * time.Minute
)

// fight remembers the corrections of one release.
type fight struct {
	times []time.Time
	next  time.Time // not before
	by    []string  // whose edits were taken back
}

// wait is how long the next correction has to wait, and whether that is news.
func (f *fight) wait(now time.Time) (left time.Duration, begins bool) {
	if left = f.next.Sub(now); left > 0 {
		return left, false
	}
	f.times = slices.DeleteFunc(f.times, func(t time.Time) bool { return now.Sub(t) > fightWindow })
	if n := len(f.times) - fightAfter; n >= 0 && f.next.Before(f.times[len(f.times)-1]) {
		left = min(fightStep<<min(n, 10), fightMax)
		f.next = now.Add(left)
		return left, true
	}
	return 0, false
}

// drift undoes what others changed of a release's objects, or only tells of it, as the environment says. It returns how long a
// correction has to wait.
func (r *Reconciler) drift(ctx context.Context, s *state, t *target) (time.Duration, error) {
	site := r.site(s.key.Environment)
	drifted := site.watcher.Load().Drifted(s.release)
	if len(drifted) == 0 {
		if len(s.release.Status.Drift) == 0 {
			return 0, nil
		}
		s.release.Status.Drift = nil // somebody took it back
		return 0, r.write(ctx, s)
	}
	if left, begins := s.fight.wait(time.Now()); left > 0 {
		if begins {
			r.tellFight(s, drifted)
		}
		return left, nil
	}
	objects, err := r.renderer.Release(t.snapshot, t.release, s.release.Status.Applied.Image)
	if err != nil {
		return 0, &stuckError{err}
	}
	if t.release.Environment.Spec.Drift == "report" {
		return 0, r.reportDrift(ctx, s, objects)
	}
	return 0, r.correct(ctx, s, t, objects)
}

// lookForDrift queues a release of which something was edited while it was on its way: that raises no event any more.
func (r *Reconciler) lookForDrift(s *state) {
	if len(r.site(s.key.Environment).watcher.Load().Drifted(s.release)) > 0 {
		r.enqueue(s.key)
	}
}

// correct applies the release's objects again. One that a dry run finds as wanted is only recorded anew.
func (r *Reconciler) correct(ctx context.Context, s *state, t *target, objects *render.Output) error {
	changes, err := r.dispatch(ctx, s, t, objects.Objects)
	s.release.Status.Inventory = changes.Inventory
	if err != nil {
		return fmt.Errorf("correcting %s: %w", s.key, err)
	}
	s.release.Status.Drift = nil
	if changes.Changed() {
		s.fight.times = append(s.fight.times, time.Now())
		for _, c := range changes.Changes {
			s.fight.by = append(s.fight.by, c.From...)
		}
		message := "undone: " + describe(changes)
		r.cfg.Metrics.DriftFound(s.key.Environment)
		r.cfg.Metrics.DriftCorrected(s.key.Environment)
		r.cfg.Log.Info("drift undone", "release", s.key.String(), "objects", describe(changes))
		site := r.site(s.key.Environment)
		site.event(s.release, "Warning", "DriftCorrected", message)
	}
	return r.write(ctx, s)
}

// describe names the objects an apply changed, with whose edits were taken back.
func describe(changes cluster.ChangeSet) string {
	var parts []string
	for _, c := range changes.Changes {
		if c.Action == cluster.Unchanged {
			continue
		}
		text := c.Ref.String()
		if len(c.From) > 0 {
			text += " (changed by " + strings.Join(c.From, ", ") + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// reportDrift writes into the status what differs, field by field, where that is news.
func (r *Reconciler) reportDrift(ctx context.Context, s *state, objects *render.Output) error {
	found, err := r.site(s.key.Environment).cluster.Drift(ctx, s.release, objects.Objects)
	if err != nil {
		return fmt.Errorf("comparing %s with the cluster: %w", s.key, err)
	}
	lines := []string{}
	for _, o := range found {
		lines = append(lines, o.String())
	}
	if slices.Equal(lines, s.release.Status.Drift) {
		return nil
	}
	s.release.Status.Drift = lines
	if len(lines) > 0 {
		r.cfg.Metrics.DriftFound(s.key.Environment)
		r.cfg.Log.Warn("drift", "release", s.key.String(), "objects", strings.Join(lines, "; "))
		r.site(s.key.Environment).event(s.release, "Warning", "Drift", strings.Join(lines, "; "))
	}
	return r.write(ctx, s)
}

// tellFight names the other side.
func (r *Reconciler) tellFight(s *state, drifted []v1alpha1.ObjectRef) {
	var names []string
	for _, ref := range drifted {
		names = append(names, ref.String())
	}
	slices.Sort(s.fight.by)
	by := strings.Join(slices.Compact(s.fight.by), ", ")
	message := fmt.Sprintf("%s is changed again by %s each time davit corrects it; the next corrections wait longer",
		strings.Join(names, ", "), cmp.Or(by, "someone"))
	r.cfg.Metrics.DriftFight(s.key.Environment)
	r.cfg.Log.Warn("davit's corrections are undone", "release", s.key.String(), "objects", strings.Join(names, ", "), "by", by)
	r.site(s.key.Environment).event(s.release, "Warning", "DriftFight", message)
}
