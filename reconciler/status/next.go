package status

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// Next is an environment that a release's version can go to.
type Next struct {
	From, To registry.Key
	// Version is the one that goes there, and Before what it replaces; nil and "" for none.
	Version *registry.ModelVersion
	Before  string
	// Problem says why it can't go there as things are, with what to do; "" when it can.
	Problem string
	// Gates are how its gates stand, in the order of their names: a promotion whose gates are closed may be proposed, and
	// waits when it is merged. What only the OCI registry or the cluster tells is not asked, and of freezes nothing is said.
	Gates []gate.Finding
}

// Closed are the gates that keep it back.
func (n *Next) Closed() []gate.Finding { return gate.Closed(n.Gates) }

// Command is what proposes it.
func (n *Next) Command() string {
	return fmt.Sprintf("davit promote %s %s", n.From, n.To.Environment)
}

// Next lists where the version that the branch has of a release can be promoted to, by environment: to all that have
// another version or none, but not to those that the release takes its versions from by rules or gates, nor where the
// release is of another model or at a version that its name tells to be newer. None where there is no tip, and where the branch does not have the release or it has a fault.
// It reads the whole registry, once.
func (v *View) Next(ctx context.Context, from registry.Key) (list []Next, err error) {
	if v.cfg.Tip == nil {
		return nil, nil
	}
	models, err := v.Models()
	if err != nil || models.Release(from) == nil {
		return nil, err
	}
	facts := v.cfg.Facts
	if facts == nil {
		facts = Facts(ctx, v.cfg.Source, models, models)
	}
	before := takesFrom(models, from)
	for _, env := range slices.Sorted(maps.Keys(models.Environments)) {
		to := registry.Key{Environment: env, Name: from.Name}
		if env == from.Environment || before[env] || models.Release(to) != nil && settled(models.Release(from), models.Release(to)) {
			continue
		}
		n, err := v.next(models, from, to, facts)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, ctx.Err()
}

// settled says that there is nothing to promote from one release to another: what is older there is no promotion.
func settled(from, to *registry.Release) bool {
	a, b := from.ModelVersion.Name, to.ModelVersion.Name
	return to.Model.Name != from.Model.Name || a == b || registry.Older(a, b)
}

func (v *View) next(models *registry.Registry, from, to registry.Key, facts func(*registry.Release) gate.Facts) (Next, error) {
	n := Next{From: from, To: to}
	p, err := reconciler.NewPromotion(v.cfg.Tip, models, from, to, "")
	if err != nil {
		n.Problem = err.Error()
		return n, nil
	}
	n.Version, n.Before = p.Version, p.Before
	fsys := v.cfg.Tip.Edited(p.File.Path, p.File.Content)
	after, err := promoted(models, fsys, p.File)
	if err != nil {
		return n, err
	}
	r := after.Release(to)
	switch faults := after.Broken[to]; {
	case len(faults) > 0:
		n.Problem = fmt.Sprintf("%s would have a fault at %s: %s", to, n.Version, faults[0])
		return n, nil
	case r == nil:
		return n, fmt.Errorf("reading %s: the registry has no %s with it", p.File.Path, to)
	}
	if n.Gates, err = gate.Check(fsys, r, facts(r)); err != nil {
		return n, fmt.Errorf("asking the gates of %s: %w", to, err)
	}
	return n, nil
}

// promoted is the registry with the promotion's file.
func promoted(models *registry.Registry, fsys *gitops.Edited, file gitops.FileChange) (*registry.Registry, error) {
	after, err := models.Update(fsys, []string{file.Path})
	if err != nil {
		return nil, fmt.Errorf("reading the registry with %s: %w", file.Path, err)
	}
	return after, nil
}

// takesFrom are the environments that a release takes its versions from, over any number of them, by its promotion rules and
// what its gates want it healthy in.
func takesFrom(models *registry.Registry, key registry.Key) map[string]bool {
	seen := map[string]bool{}
	var follow func(env string)
	follow = func(env string) {
		r := models.Release(registry.Key{Environment: env, Name: key.Name})
		if r == nil {
			return
		}
		from := slices.Collect(maps.Keys(gate.Gates(r, nil).HealthyIn))
		if r.Promote != nil {
			from = append(from, r.Promote.FromEnvironment())
		}
		for _, env := range from {
			if env != "" && !seen[env] {
				seen[env] = true
				follow(env)
			}
		}
	}
	follow(key.Environment)
	return seen
}
