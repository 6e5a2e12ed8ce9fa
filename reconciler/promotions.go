package reconciler

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// promotion is what is known of a release's open promotion, nil when there is none; promoted remembers it.
func (e *errands) promotion(key registry.Key) *promoting {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open[key]
}

func (e *errands) promoted(key registry.Key, p *promoting) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if delete(e.open, key); p != nil {
		e.open[key] = p
	}
}

// openPromotions lists the releases whose promotion is open.
func (e *errands) openPromotions() []registry.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.open))
}

// lookAgain is when an open promotion is looked at again, with so many of them.
func (e *errands) lookAgain() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(lookAtPromotion, lookAtPromotionEach*time.Duration(len(e.open)))
}

// tipMoved has the promotions looked at that a commit may concern: those of releases it touched, and those that a rule is
// to merge, for whose gates it may have brought something.
func (r *Reconciler) tipMoved(touched []registry.Key) {
	r.promotable(touched...)
	want := r.desired.Load()
	for _, key := range r.errands.openPromotions() {
		if release := want.models.Release(key); release != nil && release.Promote != nil && release.Promote.Merge == "auto" {
			r.promotable(key)
		}
	}
}

// promotable has the promotions of some releases looked at, of those that have a rule or an open one.
func (r *Reconciler) promotable(keys ...registry.Key) {
	if r.cfg.Committer == nil {
		return
	}
	for _, key := range keys {
		if r.mine(key.Environment) && r.ruled(key) {
			r.errands.add(errand{what: promotion, key: key}, 0)
		}
	}
}

// ruled says whether a release has a rule, or a promotion that one proposed.
func (r *Reconciler) ruled(key registry.Key) bool {
	if want := r.wanted(key.Environment); want != nil {
		if release := want.models.Release(key); release != nil && release.Promote != nil {
			return true
		}
	}
	st := r.seenHere(key)
	return r.errands.promotion(key) != nil || st != nil && st.proposed != nil
}

// stood is told of each status that was written: what stands otherwise than before may be eligible now, or not any more,
// also for the releases that follow it.
func (r *Reconciler) stood(key registry.Key, before, now *seenAt) {
	if before != nil && before.phase == now.phase && newest(before.outcomes) == newest(now.outcomes) && before.ready.Equal(now.ready) {
		return
	}
	want := r.desired.Load()
	if r.cfg.Committer == nil || want == nil {
		return
	}
	r.promotable(key)
	for name := range want.models.Environments {
		to := registry.Key{Environment: name, Name: key.Name}
		if at := want.of(name); at != nil && name != key.Environment {
			if release := at.models.Release(to); release != nil && release.Promote != nil && release.Promote.From == key.Environment {
				r.promotable(to)
			}
		}
	}
}

// openPromotions finds the rules of a site, and what an earlier process proposed by rules that are no more.
func (r *Reconciler) openPromotions(ctx context.Context, site *site) error {
	mine := func(key registry.Key) bool { return r.mine(key.Environment) && r.site(key.Environment) == site }
	for _, release := range r.desired.Load().models.Releases {
		if mine(release.Key()) || release.Promote != nil && r.site(release.Promote.From) == site {
			r.promotable(release.Key())
		}
	}
	branches, err := r.cfg.Source.Branches(ctx, promotionBranches)
	if err != nil {
		return fmt.Errorf("listing open promotions: %w", err)
	}
	for branch, tip := range branches {
		key, err := registry.ParseKey(strings.TrimPrefix(branch, promotionBranches))
		if err == nil && mine(key) && r.errands.promotion(key) == nil {
			r.errands.promoted(key, &promoting{tip: tip, where: branch})
			r.promotable(key)
		}
	}
	return nil
}

// maxDeclined is how many versions are remembered that people declined.
const maxDeclined = 10

// declined lists the versions that people declined, the newest first.
func (v *seenAt) declined() (versions []string) {
	if v == nil || v.proposed == nil {
		return nil
	}
	if v.proposed.Declined {
		versions = append(versions, v.proposed.Version)
	}
	versions = append(versions, v.proposed.DeclinedBefore...)
	return versions[:min(len(versions), maxDeclined)]
}

// showPromotion writes into the release's status what is proposed; nil for nothing.
func (r *Reconciler) showPromotion(ctx context.Context, key registry.Key, p *v1alpha1.Promotion) error {
	if st := r.seenHere(key); st == nil || reflect.DeepEqual(st.proposed, p) {
		return nil
	}
	s := r.state(key)
	if !s.work.TryLock() {
		return errBusy
	}
	defer s.work.Unlock()
	if s.release == nil || reflect.DeepEqual(s.release.Status.Promotion, p) {
		return nil
	}
	before := s.release.Status.Promotion
	s.release.Status.Promotion = p
	err := r.write(ctx, s)
	switch {
	case err != nil:
		s.release.Status.Promotion = before // or the next try would take it for written
	case p != nil && p.Where != "" && !p.Declined && (before == nil || before.Version != p.Version || before.Where != p.Where):
		r.proposed(ctx, s, proposedChange{p.Version, "to promote it to " + p.Version, p.Where})
	}
	return err
}
