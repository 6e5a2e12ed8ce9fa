package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func statusCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ENV[/RELEASE]]",
		Short: "Show what runs, since which commit, by whom",
		Args:  cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		releases, err := a.clusterReleases(cmd.Context(), args)
		if err != nil {
			return err
		}
		source, sourceErr := a.source(cmd.Context())
		header := []any{"RELEASE", "VERSION", "PHASE", "SINCE", "COMMIT", "BY", "MESSAGE"}
		var rows [][]any
		for _, mr := range releases {
			st := mr.Status
			by := "-"
			if sourceErr == nil {
				by = author(cmd.Context(), source, st.Applied.Commit)
			}
			rows = append(rows, []any{
				mr.Spec.Environment + "/" + mr.Spec.Release, orDash(st.Applied.Version), st.Phase,
				age(st.Applied.Time.Time), orDash(short(st.Applied.Commit)), by, advice(mr),
			})
		}
		if *format == "table" && len(rows) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "davit: no releases in the cluster; davit sync brings them there")
			return nil
		}
		return printData(cmd.OutOrStdout(), *format, releases, header, rows)
	}
	return c
}

// advice is the status's message and, for a release that is held, how to get out of it.
func advice(mr *v1alpha1.ModelRelease) string {
	held := mr.Status.Held
	if held == nil {
		return mr.Status.Message
	}
	text := mr.Status.Message
	if text == "" {
		text = held.Reason
	}
	return fmt.Sprintf("%s; held until the release's files change: git revert %s", strings.TrimSpace(text), short(held.Commit))
}

func author(ctx context.Context, source *gitops.Source, commit string) string {
	if commit == "" {
		return "-"
	}
	hash, err := source.Resolve(ctx, commit)
	if err != nil {
		return "-"
	}
	c, err := source.Commit(ctx, hash)
	if err != nil {
		return "-"
	}
	return c.Author.Name
}

// clusterReleases are the ModelReleases an argument selects, ordered by environment and name.
func (a *app) clusterReleases(ctx context.Context, args []string) ([]*v1alpha1.ModelRelease, error) {
	match := func(registry.Key) bool { return true }
	if len(args) == 1 {
		var err error
		if match, err = selector(args[0]); err != nil {
			return nil, err
		}
	}
	config, err := a.rest()
	if err != nil {
		return nil, err
	}
	target, err := cluster.New(ctx, cluster.Config{REST: config, Owner: "davit"})
	if err != nil {
		return nil, err
	}
	all, err := target.Releases(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing ModelReleases: %w; davit install puts davit's CRDs there", err)
	}
	out := make([]*v1alpha1.ModelRelease, 0, len(all))
	for _, mr := range all {
		if match(registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}) {
			out = append(out, mr)
		}
	}
	slices.SortFunc(out, func(a, b *v1alpha1.ModelRelease) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
