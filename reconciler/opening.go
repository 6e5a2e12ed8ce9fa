package reconciler

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// openErrands finds what an earlier process left of a site: proposals that are open, releases that are held without one,
// and commits whose verdict it may not have told.
func (r *Reconciler) openErrands(ctx context.Context, site *site) error {
	for _, s := range r.all() {
		st := s.shown.Load()
		if st == nil || !r.mine(s.key.Environment) || r.site(s.key.Environment) != site {
			continue
		}
		for _, o := range st.outcomes {
			if time.Since(o.At.Time) < verdictAge {
				r.begun(s.key.Environment, gitops.ParseHash(o.Commit))
			}
		}
		if r.cfg.Committer != nil && st.held != nil && st.held.Proposal == "" {
			r.errands.add(errand{what: proposal, key: s.key}, company)
		}
	}
	if r.cfg.Committer == nil {
		return nil
	}
	if err := r.openPromotions(ctx, site); err != nil {
		return err
	}
	branches, err := r.cfg.Source.Branches(ctx, revertBranches)
	if err != nil {
		return fmt.Errorf("listing open proposals: %w", err)
	}
	for branch, tip := range branches {
		env, name, _ := strings.Cut(strings.TrimPrefix(branch, revertBranches), "/")
		if name == "" || !r.mine(env) || r.site(env) != site {
			continue // another controller's
		}
		e, o := errand{what: proposal, key: registry.Key{Environment: env, Name: name}}, offer{}
		if short, ok := strings.CutPrefix(name, "_"); ok {
			commit, err := r.cfg.Source.Resolve(ctx, "@sha1:"+short)
			if err != nil {
				continue // of a history that was given up
			}
			e = errand{proposal, registry.Key{Environment: env}, commit}
			o.undo = e
		}
		own, err := r.cfg.Source.Own(ctx, tip, *r.cfg.Committer)
		if err != nil {
			return fmt.Errorf("reading branch %s: %w", branch, err)
		}
		if o.foreign = !own; !r.errands.has(branch) {
			r.errands.offered(branch, o)
		}
		r.errands.add(e, company)
	}
	return nil
}

// verdictAge is how old an outcome may be for its commit's verdict to be told again after a start.
const verdictAge = 24 * time.Hour
