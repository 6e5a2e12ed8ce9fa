package plan

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// comparison is a plan being made.
type comparison struct {
	Options
	before, after *registry.Registry
	plan          *Plan
}

// New compares two registries; before may be nil, for nothing. Releases whose inputs are the same are not rendered, so of
// ten thousand it costs what changes. A release that does not render is broken, which is no error.
func New(before, after *registry.Registry, opts Options) (*Plan, error) {
	if before == nil {
		before = &registry.Registry{}
	}
	c := &comparison{Options: opts, before: before, after: after, plan: &Plan{
		Releases: []Release{}, Trainings: []Training{}, Quotas: []Quota{}, Findings: []Finding{},
	}}
	if c.Match == nil {
		c.Match = func(registry.Key) bool { return true }
	}
	if c.Renderer == nil {
		c.Renderer = &render.Renderer{}
	}
	for _, step := range []func() error{c.releases, c.trainings, c.policies, c.versions, c.quotas, c.deletions, c.waves, c.freezes, c.marks} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	sortFindings(c.plan.Findings)
	c.count()
	return c.plan, nil
}

// Keys are those of the releases of both registries, those with a fault included, in order.
func Keys(before, after *registry.Registry) []registry.Key {
	var keys []registry.Key
	for _, r := range slices.Concat(before.Releases, after.Releases) {
		keys = append(keys, r.Key())
	}
	keys = append(keys, after.BrokenKeys()...)
	slices.SortFunc(keys, compareKeys)
	return slices.Compact(keys)
}

func compareKeys(a, b registry.Key) int {
	if c := strings.Compare(a.Environment, b.Environment); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// Same says that nothing a release is rendered from differs between two registries; a file that can't be read is for its
// rendering to tell.
func Same(before *registry.Registry, was *registry.Release, after *registry.Registry, is *registry.Release) bool {
	if was == nil || is == nil {
		return false
	}
	from, err := was.InputKey(before.FS())
	if err != nil {
		return false
	}
	to, err := is.InputKey(after.FS())
	return err == nil && from == to
}

// releases compares those whose inputs differ, as many at once as there are processors.
func (c *comparison) releases() error {
	keys := slices.DeleteFunc(Keys(c.before, c.after), func(k registry.Key) bool { return !c.Match(k) })
	found := make([]*pair, len(keys))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, key := range keys {
		work.Go(func() (err error) {
			found[i], err = c.release(key)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	for _, p := range found {
		if p != nil {
			c.plan.Releases = append(c.plan.Releases, p.Release)
			c.plan.Findings = append(c.plan.Findings, p.findings...)
		}
	}
	return nil
}

// pair is a release before and after, and what is to be said of it.
type pair struct {
	Release
	was, is  *registry.Release // nil when it is not there
	findings []Finding
}

// release is nil when nothing changes.
func (c *comparison) release(key registry.Key) (*pair, error) {
	was, is := c.before.Release(key), c.after.Release(key)
	if Same(c.before, was, c.after, is) {
		return nil, nil
	}
	p := &pair{Release: Release{Release: key.String(), Change: Modify, Objects: []Object{}}, was: was, is: is}
	var from, to *render.Output
	var err error
	if was != nil {
		p.From, p.Team = was.ModelVersion.Name, was.Team
		if from, err = c.render(c.before.FS(), was); err != nil {
			from = nil // it did not render before either; what counts is that it does now
		}
	} else if _, broken := c.before.Broken[key]; !broken {
		p.Change = Add
	}
	faults, broken := c.after.Broken[key]
	had := c.before.Broken[key]
	switch {
	case broken && was == nil && told(had) == told(faults):
		return nil, nil // it was broken before, and by the same
	case broken:
		return p.broken("stays at its last good revision: " + faults[0].String()), nil
	case is == nil:
		p.Change = Remove
		p.Objects = objects(from, nil)
		p.GPUs = counts(was.GPUs(), 0)
		return p, nil
	}
	p.To, p.Team = is.ModelVersion.Name, is.Team
	if was == nil && len(had) > 0 {
		p.findings = append(p.findings, Finding{Level: Tells, Kind: KindBroken, Environment: key.Environment, Release: p.Release.Release,
			Message: "had a fault before this change, so all of it is told as new; what runs is its last good revision"})
	}
	if bad := is.MarkedBad(was); bad != nil {
		return p.broken("stays as it is: " + bad.String()), nil
	}
	if to, err = c.render(c.after.FS(), is); err != nil {
		return p.broken(err.Error()), nil
	}
	p.mean()
	if was != nil && from != nil && from.Hash == to.Hash && !p.meant() {
		return nil, nil
	}
	p.Objects = objects(from, to)
	p.Image = c.image(is.ModelVersion)
	p.Shared = was != nil && !c.own(was, is)
	return p, c.gates(p)
}

// told are faults in their words, wherever their lines are now.
func told(faults []registry.Fault) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "%s: %s\n", f.Path, f.Text)
	}
	return b.String()
}

func (p *pair) broken(why string) *pair {
	p.Change, p.Note = Broken, why
	key := p.Key()
	p.findings = append(p.findings, Finding{Level: Blocks, Kind: KindBroken, Environment: key.Environment, Release: p.Release.Release, Message: why})
	return p
}

func (c *comparison) render(fsys fs.FS, r *registry.Release) (*render.Output, error) {
	out, err := c.Renderer.Release(fsys, r, image.Placeholder(r.Repository()))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", r.Key(), err)
	}
	return out, nil
}
