package main

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// liveUse is a release whose applied revision fits.
type liveUse struct {
	use
	Commit string `json:"commit"` // that is applied
	Phase  string `json:"phase"`
	// Branch is what the branch has in the place of what was asked for; empty when it asks for what is applied, "removed"
	// when the release is gone and "fault" when it has one.
	Branch string `json:"branch,omitempty"`
}

// findLive looks at what is applied, each release as it was at its commit. One whose inputs are those of the branch is
// read there, so that what costs is the releases that a change has not reached.
func (a *app) findLive(cmd *cobra.Command, want wanted, format string) error {
	ctx := cmd.Context()
	releases, err := a.clusterReleases(ctx, nil)
	if err != nil {
		return err
	}
	v, err := a.view(ctx)
	if err != nil {
		return err
	}
	if v.tip == nil {
		return fmt.Errorf("%s is no clone of the registry, which tells what the applied commits hold; run it in one, or pass -C DIR", a.dir)
	}
	tip, err := registry.Load(v.tip)
	if err != nil {
		return err
	}
	l := &appliedReader{view: v, tip: tip}
	l.group(releases)
	uses, looked, unknown := []liveUse{}, 0, 0
	for _, mr := range releases {
		key := keyOf(mr)
		if mr.Status.Applied.Commit == "" || want.environment != "" && want.environment != key.Environment {
			continue
		}
		looked++
		models, r, err := l.release(ctx, mr, key)
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s is applied as of %s: %s\n", key, short(mr.Status.Applied.Commit), plainLines(err.Error()))
			unknown++
			continue
		}
		u := useOf(r)
		u.Version = mr.Status.Applied.Version // a pin may have another one than the commit
		if !want.fits(u) {
			continue
		}
		u.Decided = want.decidedBy(models, r)
		uses = append(uses, liveUse{u, mr.Status.Applied.Commit, status.Stands(mr), l.branch(key, want, u)})
	}
	if err := printUse(cmd, format, uses); err != nil {
		return err
	}
	for _, mr := range v.registries {
		for _, r := range mr.Status.Rollouts {
			if format == "table" && (want.environment == "" || want.environment == r.Environment) {
				fmt.Fprintln(cmd.OutOrStdout(), plain(status.Rollout(r)))
			}
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "davit: %d of %s applied\n", len(uses), counted(looked, "release"))
	if unknown > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: of %d it is not known; git fetch brings commits that are not here\n", unknown)
		return exit(exitFailed)
	}
	return nil
}

// appliedReader reads releases at the commits that are applied.
type appliedReader struct {
	*view
	tip   *registry.Registry
	many  map[string]int // how many releases have to be read at a commit
	whole map[string]*registry.Registry
}

// some releases of a commit are read one by one, more than that with all others of it: reading one costs as much as about
// a tenth of a thousand.
const someOfCommit = 100

func (l *appliedReader) group(releases []*v1alpha1.ModelRelease) {
	l.many, l.whole = map[string]int{}, map[string]*registry.Registry{}
	for _, mr := range releases {
		if !l.current(mr) {
			l.many[mr.Status.Applied.Commit]++
		}
	}
}

// current says whether what is applied is what the branch asks for.
func (l *appliedReader) current(mr *v1alpha1.ModelRelease) bool {
	r := l.tip.Release(keyOf(mr))
	if r == nil {
		return false
	}
	same, err := status.Current(l.view.tip, r, mr)
	return err == nil && same
}

// release is one as it is applied, and the registry it was read with.
func (l *appliedReader) release(ctx context.Context, mr *v1alpha1.ModelRelease, key registry.Key) (*registry.Registry, *registry.Release, error) {
	models := l.tip
	if !l.current(mr) {
		var err error
		if models, err = l.at(ctx, mr.Status.Applied.Commit, key); err != nil {
			return nil, nil, err
		}
	}
	if r := models.Release(key); r != nil {
		return models, r, nil
	}
	if faults := models.Broken[key]; len(faults) > 0 {
		return nil, nil, fmt.Errorf("it has a fault there: %s", faults[0])
	}
	return nil, nil, fmt.Errorf("it is not in the registry there")
}

// at is the registry at a commit, or as much of it as one release needs.
func (l *appliedReader) at(ctx context.Context, commit string, key registry.Key) (*registry.Registry, error) {
	if models := l.whole[commit]; models != nil {
		return models, nil
	}
	hash, err := l.source.Resolve(ctx, commit)
	if err != nil {
		return nil, err
	}
	var fsys fs.FS
	if fsys, err = l.source.Snapshot(ctx, hash); err != nil {
		return nil, err
	}
	if l.many[commit] <= someOfCommit {
		return registry.LoadRelease(fsys, key)
	}
	models, err := registry.Load(fsys)
	if err == nil {
		l.whole[commit] = models
	}
	return models, err
}

// branch is what the branch has of what was asked for, where that is something else.
func (l *appliedReader) branch(key registry.Key, want wanted, is use) string {
	r := l.tip.Release(key)
	switch {
	case r == nil && len(l.tip.Broken[key]) > 0:
		return "fault"
	case r == nil:
		return "removed"
	}
	next := useOf(r)
	var other []string
	for _, c := range []struct{ asked, is, next string }{
		{want.runtime, is.Runtime, next.Runtime},
		{want.model, is.Model + "@" + is.Version, next.Model + "@" + next.Version},
		{want.accelerator, is.Accelerator, next.Accelerator},
		{want.team, is.Team, next.Team},
	} {
		if c.asked != "" && c.is != c.next {
			other = append(other, orDash(c.next))
		}
	}
	return strings.Join(other, ", ")
}

func printUse(cmd *cobra.Command, format string, uses []liveUse) error {
	slices.SortStableFunc(uses, func(a, b liveUse) int { return strings.Compare(a.Name, b.Name) })
	if len(uses) == 0 && format == "table" {
		return nil
	}
	var rows [][]any
	for _, u := range uses {
		rows = append(rows, []any{u.Name, u.Model + "@" + orDash(u.Version), orDash(u.Team), u.Runtime, orDash(u.Accelerator), u.Phase, short(u.Commit), orDash(u.Branch)})
	}
	return printData(cmd.OutOrStdout(), format, uses, []any{"RELEASE", "MODEL", "TEAM", "RUNTIME", "ACCELERATOR", "PHASE", "COMMIT", "BRANCH"}, rows)
}
