package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/lineage"
	"github.com/davit-dev/davit/registry"
)

func lineageCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "lineage MODEL@VERSION",
		Short: "Show what a version was made from, and what came of it",
		Long: "Shows, backwards, the run that made a version, with its spec, its code and its datasets, and the versions it\n" +
			"started from; forwards, what started from it, and the releases that serve it or did. What was served when comes\n" +
			"from the history of the branch and the outcomes in Git, and runs from the ledger in Git (refs/davit/runs); without\n" +
			"them it tells what the files do. No cluster is asked.\n\n" +
			"-o json gives {root, nodes: [{id, kind, name, missing, facts}], edges: [{from, to, kind, facts, cycle}], cut}: an edge\n" +
			"leads from what was before to what came of it. -o svg draws it.",
		Example: "  davit lineage iris@v3\n  davit lineage iris@v3 -o svg > iris-v3.svg",
		Args:    cobra.ExactArgs(1),
	}
	format := outputFlag(c, "text", "json", "svg")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		v, err := versionOf(models, args[0])
		if err != nil {
			return err
		}
		sources, err := a.lineageSources(cmd, models, v)
		if err != nil {
			return err
		}
		graph := lineage.New(sources, v)
		switch *format {
		case "json":
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(graph)
		case "svg":
			return graph.SVG(cmd.OutOrStdout())
		}
		return graph.Text(cmd.OutOrStdout())
	}
	return c
}

// versionOf finds MODEL@VERSION.
func versionOf(models *registry.Registry, arg string) (*registry.ModelVersion, error) {
	model, version, _ := strings.Cut(arg, "@")
	m := models.Models[model]
	if m == nil {
		return nil, fmt.Errorf("no model %q%s", model, registry.Nearest(model, slices.Sorted(maps.Keys(models.Models))))
	}
	have := slices.Sorted(maps.Keys(m.Versions))
	switch {
	case len(have) == 0:
		return nil, fmt.Errorf("model %s has no version; davit add %s VERSION FILE writes one", model, model)
	case version == "":
		return nil, usage{fmt.Errorf("%q is not MODEL@VERSION; model %s has %s", arg, model, strings.Join(have, ", "))}
	case m.Versions[version] == nil:
		return nil, fmt.Errorf("model %s has no version %q%s", model, version, registry.Nearest(version, have))
	}
	return m.Versions[version], nil
}

// lineageSources are what is known here. Outside Git, and before the first commit, that is the files alone.
func (a *app) lineageSources(cmd *cobra.Command, models *registry.Registry, v *registry.ModelVersion) (lineage.Sources, error) {
	ctx := cmd.Context()
	s := lineage.Sources{Registry: models}
	source, err := a.source(ctx)
	if err != nil {
		return s, nil
	}
	if s.Runs, err = ledger(ctx, source); err != nil {
		return s, err
	}
	s.At = registries(ctx, source)
	tip, err := source.Resolve(ctx, cmp.Or(a.rev, "HEAD"))
	if err != nil {
		return s, nil
	}
	past := history.New(history.Config{Source: source, Slow: func(commits int) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: reading %d commits; from then on only new ones\n", commits)
	}})
	revisions, err := past.Revisions(ctx, tip, history.Filter{Model: v.Model})
	if err != nil {
		return s, err
	}
	s.Past = lineage.PastOf(revisions, v)
	return s, nil
}

// registries reads that of a commit, each once; nil where the commit is not here, in a shallow clone say.
func registries(ctx context.Context, source *gitops.Source) func(commit, model string) *registry.Registry {
	known := map[string]*registry.Registry{}
	return func(commit, _ string) *registry.Registry {
		if r, ok := known[commit]; ok {
			return r
		}
		known[commit] = nil
		if snapshot, err := source.Snapshot(ctx, gitops.ParseHash(commit)); err == nil {
			if r, err := registry.Load(snapshot); err == nil {
				known[commit] = r
			}
		}
		return known[commit]
	}
}
