package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// checked is what is wrong with a change, and what is worth knowing of it.
type checked struct {
	faults, notes []registry.Fault
}

// against is what a change is held against.
type against struct {
	source *gitops.Source
	fsys   fs.FS // of the change
	after  *registry.Registry
	base   *gitops.Snapshot
	before *registry.Registry
	named  bool // the base: whoever names it says that it is merged
}

// against opens where a change left its base revision: what others merged meanwhile the change does not take away. Without one it is HEAD for the worktree, and nothing, nil, where that changes nothing:
// for a clean worktree, a revision, outside Git, before the first commit, and where HEAD holds no registry.
func (a *app) against(ctx context.Context, base string, fsys fs.FS, after *registry.Registry) (*against, error) {
	c := &against{fsys: fsys, after: after, named: base != ""}
	if w, ok := fsys.(worktree); ok && base == "" && w.checkout != nil && len(w.checkout.dirty) > 0 {
		c.base = w.checkout.head
	} else if base == "" {
		return nil, nil
	}
	var err error
	if c.source, err = a.source(ctx); err != nil {
		return nil, err
	}
	if c.base == nil {
		from, err := fork(ctx, c.source, base, a.rev)
		if err != nil {
			return nil, err
		}
		if c.base, err = c.source.Snapshot(ctx, from); err != nil {
			return nil, err
		}
	}
	c.before, err = registry.Load(c.base)
	if errors.Is(err, registry.ErrNoRegistry) { // it is about to come: nothing is promoted or merged
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the registry at %s: %w", c.base.Hash(), err)
	}
	return c, nil
}

// changes checks what a change must hold that no single tree tells: gates of what it promotes, and what is never changed.
func (c *against) changes(ctx context.Context, a *app) (*checked, error) {
	out := &checked{}
	if err := c.promotions(ctx, out); err != nil {
		return nil, err
	}
	changed, err := c.changed(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.approvals(changed, out); err != nil {
		return nil, err
	}
	if err := c.contents(changed, out); err != nil {
		return nil, err
	}
	return out, c.kept(ctx, a, changed, out)
}

// promotions asks the gates of what is promoted. A way back is never stopped: what keeps others from that version is a note.
func (c *against) promotions(ctx context.Context, out *checked) error {
	tell := status.Facts(ctx, c.source, c.before, c.after)
	for _, r := range gate.Promotions(c.before, c.after) {
		was := c.before.Release(r.Key())
		if bad := r.MarkedBad(was); bad != nil {
			out.faults = append(out.faults, *bad)
		}
		findings, err := gate.Check(c.fsys, r, tell(r))
		if err != nil {
			return fmt.Errorf("asking the gates of %s: %w", r.Key(), err)
		}
		closed, back := false, ""
		for _, f := range findings {
			closed = closed || f.State == gate.Failed
		}
		if closed {
			if back, err = wentBefore(ctx, c.source, c.base.Hash(), was, r); err != nil {
				return err
			}
		}
		for _, f := range findings {
			told := registry.Fault{Path: r.Path, Line: r.VersionLine, Text: fmt.Sprintf("gate %s: %s", f.Gate, f.Message)}
			switch {
			case f.State == gate.Passed:
			case f.State == gate.Failed && back == "":
				out.faults = append(out.faults, told)
			case f.State == gate.Failed:
				told.Text += fmt.Sprintf("; not asked on the way back to what %s had", short(back))
				out.notes = append(out.notes, told)
			default:
				out.notes = append(out.notes, told)
			}
		}
	}
	return nil
}

// wentBefore is the commit of the revision that a release goes back to: its branch had that version before, and nobody
// and nothing turned away from it since. "" when it goes to something new.
func wentBefore(ctx context.Context, source *gitops.Source, base gitops.Hash, was, is *registry.Release) (string, error) {
	if was != nil && was.ModelVersion.Model == is.ModelVersion.Model && was.ModelVersion.Name == is.ModelVersion.Name {
		return "", nil // the version's own files changed
	}
	key := is.Key()
	all, err := history.New(history.Config{Source: source}).Revisions(ctx, base, history.Filter{Environment: key.Environment, Release: key.Name})
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if r.To != is.ModelVersion.Name || path.Base(r.ToModel) != is.Model.Name {
			continue
		}
		switch v1alpha1.Phase(r.Outcome()) {
		case v1alpha1.Pinned, v1alpha1.RolledBack, v1alpha1.Failed, v1alpha1.Waiting: // that never served
			return "", nil
		}
		return r.Commit, nil
	}
	return "", nil
}

// unknownEnvironments tells which gates and rules speak of an environment that is not there.
func unknownEnvironments(fsys fs.FS, models *registry.Registry) (faults []registry.Fault) {
	tell := func(file, environment string, field ...string) {
		if _, err := fs.Stat(fsys, "environments/"+environment+"/environment.yaml"); errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, registry.Fault{Path: file, Line: models.Line(file, field...),
				Text: fmt.Sprintf("environment %q does not exist; name one of those in environments/", environment)})
		}
	}
	gates := func(file string, g registry.Gates, field ...string) {
		for _, env := range sorted(g.HealthyIn) {
			tell(file, env, append(field, "healthyIn", env)...)
		}
	}
	rule := func(file string, p registry.PromoteRule) {
		if env := p.FromEnvironment(); env != "" {
			tell(file, env, "promote", "from")
		}
	}
	for _, name := range sorted(models.Environments) {
		env := models.Environments[name]
		gates(env.Path, env.Spec.Gates, "gates")
		rule(env.Path, env.Spec.Promote)
	}
	for _, name := range sorted(models.Models) {
		m := models.Models[name]
		for _, env := range sorted(m.Spec.Gates) {
			tell(m.Path, env, "gates", env)
			gates(m.Path, m.Spec.Gates[env], "gates", env)
		}
	}
	for _, r := range models.Releases {
		if r.Promote != nil && *r.Promote != r.Environment.Spec.Promote { // that one is told there
			rule(r.Path, *r.Promote)
		}
	}
	return faults
}
