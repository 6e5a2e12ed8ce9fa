package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
)

// base is the registry at the newest commit that a revision and what is looked at, --rev or the worktree's HEAD, have in
// common: what a pull request changes is held against where it began, and not against what others merged meanwhile. Before
// the first commit, and where that holds no registry yet, it is an empty one, and that is told.
func (a *app) base(cmd *cobra.Command, rev string) (*registry.Registry, error) {
	ctx := cmd.Context()
	source, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := source.Resolve(ctx, "HEAD"); err != nil && rev == "HEAD" && a.rev == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: there is no commit yet, so everything is new")
		return &registry.Registry{}, nil
	}
	hash, err := fork(ctx, source, rev, a.rev)
	if err != nil {
		return nil, err
	}
	tree, err := source.Snapshot(ctx, hash)
	if err != nil {
		return nil, err
	}
	models, err := registry.Load(tree)
	if errors.Is(err, registry.ErrNoRegistry) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s holds no registry, so everything is new\n", short(hash.String()))
		return &registry.Registry{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the registry at %s: %w", rev, err)
	}
	return models, nil
}

func fork(ctx context.Context, source *gitops.Source, base, looked string) (gitops.Hash, error) {
	if looked == "" {
		looked = "HEAD"
	}
	hash, err := source.Resolve(ctx, base)
	if shallow, _ := source.IsShallow(); err != nil && !shallow { // of a shallow clone it says what to do
		return hash, fmt.Errorf("%w; name a branch, a tag or a commit, and git fetch what is not here", err)
	} else if err != nil {
		return hash, err
	}
	if base == looked {
		return hash, nil
	}
	tip, err := source.Resolve(ctx, looked)
	if err != nil {
		return hash, err
	}
	common, err := source.MergeBase(ctx, hash, tip)
	if err != nil {
		return hash, fmt.Errorf("finding where %s begins that is not in %s: %w", looked, base, err)
	}
	return common, nil
}

// among says what is wrong with a plan's argument that fits nothing, before or after: its plan would be without changes.
func among(before, after *registry.Registry, args []string) error {
	match, err := selector(args)
	if err != nil || len(args) == 0 {
		return err
	}
	for _, in := range []*registry.Registry{before, after} {
		if in.Environments[args[0]] != nil {
			return nil
		}
	}
	if keys := slices.Concat(plan.Keys(before, after), before.BrokenKeys()); !slices.ContainsFunc(keys, match) {
		return fmt.Errorf("no release %q before or after; davit find shows what there is", args[0])
	}
	return nil
}
