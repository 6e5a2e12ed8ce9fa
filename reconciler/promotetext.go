package reconciler

import (
	"context"
	"strings"

	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// promotionText is what the pull request of a promotion says: the commit's message, and what it means. A plan that can't be
// made keeps nobody from reviewing.
func (r *Reconciler) promotionText(ctx context.Context, want *desired, key registry.Key, name string, text []byte, message string) (title, body string) {
	title, body, _ = strings.Cut(message, "\n\n")
	edited := want.snapshot.Edited(name, text)
	after, err := want.models.Update(edited, []string{name})
	if err != nil {
		r.cfg.Log.Warn("no plan of a promotion", "release", key.String(), "error", err)
		return title, body
	}
	p, err := plan.New(want.models, after, plan.Options{
		Match: func(k registry.Key) bool { return k == key }, Now: r.cfg.Now(), Renderer: &r.renderer,
		Facts: func(release *registry.Release) gate.Facts {
			return r.known(ctx, want, release, edited)
		},
	})
	var b strings.Builder
	if err == nil {
		err = p.Markdown(&b)
	}
	if err != nil {
		r.cfg.Log.Warn("no plan of a promotion", "release", key.String(), "error", err)
		return title, body
	}
	return title, body + "\n" + b.String()
}

// known are the facts of a release that is to be promoted. What can't be looked at now stands in its plan as unknown.
func (r *Reconciler) known(ctx context.Context, want *desired, release *registry.Release, edited tree) gate.Facts {
	s := r.state(release.Key())
	if s.work.TryLock() {
		defer s.work.Unlock()
		t := &target{commit: want.snapshot.Hash(), snapshot: edited, release: release, seen: want.seen}
		if facts, _, err := r.facts(ctx, s, t); err == nil {
			return facts
		}
	}
	return gate.Facts{Now: r.cfg.Now(), Floor: r.floorOf(release.Environment.Name)}
}
