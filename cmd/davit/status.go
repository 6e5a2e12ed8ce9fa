package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func statusCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ENV[/RELEASE]]",
		Short: "Show what runs, since which commit, by whom, and what needs a person",
		Long: "Lists releases, those that need a person first, each with the command that helps. Of one release it shows\n" +
			"all there is to know: what serves, what the branch asks for, what is on its way, held, pinned, suspended\n" +
			"or waiting, why, and how to get out of it. After the releases come the runs of trainings that are under way, ended\n" +
			"within a day, or wait for their version to be merged; -o json and yaml have the releases alone: davit train list\n" +
			"-o json has the runs.",
		Args: cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		releases, err := a.clusterReleases(cmd.Context(), args)
		if err != nil {
			return err
		}
		if len(releases) == 0 && len(args) == 1 {
			if all, err := a.clusterReleases(cmd.Context(), nil); err != nil || (len(all) > 0 || strings.Contains(args[0], "/")) && !a.hasEnvironment(cmd.Context(), args[0]) {
				return errors.Join(err, fmt.Errorf("no release %q in the cluster; davit status lists those there are", args[0]))
			}
		}
		switch {
		case *format != "table":
			return printData(cmd.OutOrStdout(), *format, releases, nil, nil)
		case len(releases) == 0:
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: no releases%s in the cluster; davit sync brings them there\n", of(args))
			return a.statusRuns(cmd, args)
		}
		v, err := a.view(cmd.Context())
		if err != nil {
			return err
		}
		if len(args) == 1 && strings.Contains(args[0], "/") {
			for _, mr := range releases { // one; while it moves to another namespace, two
				if err := v.page(cmd.Context(), cmd.OutOrStdout(), mr); err != nil {
					return err
				}
			}
			return nil
		}
		if err := printData(cmd.OutOrStdout(), "table", nil, listHeader, v.list(cmd.Context(), releases)); err != nil {
			return err
		}
		for _, mr := range v.registries {
			for _, r := range mr.Status.Rollouts {
				if len(args) == 0 || args[0] == r.Environment {
					fmt.Fprintln(cmd.OutOrStdout(), plain(status.Rollout(r)))
				}
			}
		}
		return a.statusRuns(cmd, args)
	}
	return c
}

// of names the environment that was asked for.
func of(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return " of " + args[0]
}

// hasEnvironment says whether the registry here has an environment, which may only train.
func (a *app) hasEnvironment(ctx context.Context, name string) bool {
	fsys, err := a.tree(ctx, io.Discard)
	if err != nil {
		return false
	}
	models, err := registry.Load(fsys)
	return err == nil && models.Environments[name] != nil
}

// view is what status goes by beside the releases.
type view struct {
	*status.View
	registries []v1alpha1.ModelRegistry
	source     *gitops.Source   // nil where there is no repository
	tip        *gitops.Snapshot // of the branch here; nil when there is none
}

// view reads the ModelRegistries, of which who may not read them has none, and the repository, if there is one.
func (a *app) view(ctx context.Context) (*view, error) {
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{}
	v.registries, err = target.Registries(ctx)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return nil, err
	}
	if err := v.here(ctx, a); err != nil {
		return nil, err
	}
	v.View = status.New(status.Config{Source: v.source, Tip: v.tip})
	return v, nil
}

// here finds the repository and what its branch has.
func (v *view) here(ctx context.Context, a *app) (err error) {
	if v.source, err = a.source(ctx); err != nil {
		v.source = nil
		return nil
	}
	rev := a.rev
	if rev == "" {
		rev = a.followedHere(ctx)
	}
	if tip, err := v.source.Resolve(ctx, rev); err == nil {
		v.tip, err = v.source.Snapshot(ctx, tip)
		return err
	} else if a.rev != "" {
		return err
	}
	return nil
}

// owner is the ModelRegistry that a release belongs to; nil for davit sync.
func (v *view) owner(mr *v1alpha1.ModelRelease) *v1alpha1.ModelRegistry {
	for i, r := range v.registries {
		if mr.Spec.Owner == r.Namespace+"/"+r.Name {
			return &v.registries[i]
		}
	}
	return nil
}

// followedHere is the followed branch's commit as far as a clone can tell: its remote's, where it has one.
func (a *app) followedHere(ctx context.Context) string {
	if local, err := a.clone(ctx, ""); err == nil {
		if tip, err := local.known(ctx); err == nil {
			return tip
		}
	}
	return "HEAD"
}

// uninstalled adds to an error of a cluster without davit's CRD what to do.
func uninstalled(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w; run davit install, or davit install --crds for davit sync, first", err)
	}
	return err
}

// clusterReleases are the ModelReleases an argument selects, ordered by environment and name.
func (a *app) clusterReleases(ctx context.Context, args []string) ([]*v1alpha1.ModelRelease, error) {
	match, err := selector(args)
	if err != nil {
		return nil, err
	}
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	all, err := target.Releases(ctx)
	if err != nil {
		return nil, uninstalled(err)
	}
	out := make([]*v1alpha1.ModelRelease, 0, len(all))
	for _, mr := range all {
		if match(keyOf(mr)) {
			out = append(out, mr)
		}
	}
	slices.SortFunc(out, func(a, b *v1alpha1.ModelRelease) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// keyOf is the release that a ModelRelease is of.
func keyOf(mr *v1alpha1.ModelRelease) registry.Key {
	return registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}
}
