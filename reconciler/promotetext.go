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
	after, err := want.models.Update(want.snapshot.Edited(name, text), []string{name})
	if err != nil {
		r.cfg.Log.Warn("no plan of a promotion", "release", key.String(), "error", err)
		return title, body
	}
	p, err := plan.New(want.models, after, plan.Options{
		Match: func(k registry.Key) bool { return k == key }, Now: r.cfg.Now(), Renderer: &r.renderer,
		Facts: func(release *registry.Release) gate.Facts {
			return r.promotionFacts(ctx, want, release, new(error)) // what could not be looked at stands there as unknown
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
