package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// sorted are a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// changed lists the files that differ from the base.
func (c *against) changed(ctx context.Context) ([]string, error) {
	switch fsys := c.fsys.(type) {
	case worktree:
		if fsys.checkout != nil {
			return fsys.checkout.changed(ctx, c.base)
		}
	case *gitops.Snapshot:
		return fsys.Changed(ctx, c.base)
	}
	return nil, nil
}

// approvals tells which files that came are no approvals.
func (c *against) approvals(changed []string, out *checked) error {
	for _, name := range changed {
		if info, err := fs.Stat(c.fsys, name); !strings.HasPrefix(name, "approvals/") || err != nil || !info.Mode().IsRegular() {
			continue
		}
		faults, err := gate.CheckApproval(c.fsys, name)
		if err != nil {
			return err
		}
		out.faults = append(out.faults, faults...)
	}
	return nil
}

var (
	evidenceFile = regexp.MustCompile(`^((?:teams/[^/]+/)?models/[^/]+)/evidence/([^/]+)/.+$`)
	versionFile  = regexp.MustCompile(`^(?:teams/[^/]+/)?models/([^/]+)/versions/([^/]+)\.yaml$`)
)

// kept tells what was merged and is changed though it never may: evidence, and what a ModelVersion says. Merged is what
// the named base has, or the followed branch as it is known here. A version goes with its evidence.
func (c *against) kept(ctx context.Context, a *app, changed []string, out *checked) error {
	changed = slices.DeleteFunc(changed, func(name string) bool { return !evidenceFile.MatchString(name) && !versionFile.MatchString(name) })
	if len(changed) == 0 {
		return nil
	}
	merged, models := c.base, c.before
	if !c.named {
		if tip, err := a.merged(ctx, c.source); err == nil { // without such a branch it is HEAD
			merged = tip
			if models, err = registry.Load(tip); err != nil {
				return nil // nothing that davit reads is merged
			}
		}
	}
	for _, name := range changed {
		was, err := registry.BlobHash(merged, name)
		if err != nil {
			return err
		}
		if was == "absent" {
			continue
		}
		now := c.movedTo(models, name) // a model may go to another team, with all it has
		is, err := registry.BlobHash(c.fsys, now)
		if err != nil {
			return err
		}
		if was == is {
			continue
		}
		if m := evidenceFile.FindStringSubmatch(now); m != nil {
			if _, err := fs.Stat(c.fsys, m[1]+"/versions/"+m[2]+".yaml"); err == nil {
				out.fault(now, "evidence that is merged is never changed or removed; %s brings it back, and what is new goes into a file of its own", c.bringBack(merged, name, now))
			}
			continue
		}
		m := versionFile.FindStringSubmatch(now)
		if is != "absent" && !plan.SameVersion(models, c.after, m[1], m[2]) {
			out.fault(now, "version %q of model %q is merged, and what it says never changes; %s brings it back; davit add makes another version", m[2], m[1], c.bringBack(merged, name, now))
		}
	}
	return nil
}

// movedTo is where a file of a model is after the change.
func (c *against) movedTo(before *registry.Registry, name string) string {
	for model, was := range before.Models {
		if rest, within := strings.CutPrefix(name, path.Dir(was.Path)+"/"); within {
			if is := c.after.Models[model]; is != nil {
				return path.Join(path.Dir(is.Path), rest)
			}
		}
	}
	return name
}

// bringBack is the command that has a merged file as it was.
func (c *against) bringBack(merged *gitops.Snapshot, was, is string) string {
	if was == is {
		return fmt.Sprintf("git checkout %.12s -- %s", merged.Hash(), was)
	}
	return fmt.Sprintf("git show %.12s:%s > %s", merged.Hash(), c.source.FromRoot(was), is)
}

func (c *checked) fault(name, format string, args ...any) {
	c.faults = append(c.faults, registry.Fault{Path: name, Line: 1, Text: fmt.Sprintf(format, args...)})
}

// merged is the followed branch, as it is known here.
func (a *app) merged(ctx context.Context, source *gitops.Source) (*gitops.Snapshot, error) {
	local, err := a.clone(ctx, "")
	if err != nil {
		return nil, err
	}
	tip, err := local.known(ctx)
	if err != nil {
		return nil, err
	}
	return source.Snapshot(ctx, gitops.ParseHash(tip))
}
