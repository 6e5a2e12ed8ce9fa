package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

func trainCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "train",
		Short: "See, cancel and repeat the runs of trainings",
		Long: "A training that is merged has its spec run once, in its environment. These commands show the runs, from the\n" +
			"ledger in Git and from the cluster, and ask for what a merge does not.",
	}
	c.AddCommand(trainListCommand(a), trainLogsCommand(a), trainCancelCommand(a), trainAgainCommand(a), trainVersionCommand(a))
	return c
}

// liveRuns are the runs in the cluster, newest first. Who may not look at all namespaces looks at those of the registry's
// environments.
func liveRuns(ctx context.Context, target *cluster.Cluster, models *registry.Registry) ([]cluster.RunStatus, error) {
	all, err := target.Runs(ctx, "")
	if !apierrors.IsForbidden(err) || models == nil {
		return all, err
	}
	var namespaces []string
	for _, t := range models.Trainings {
		namespaces = append(namespaces, t.Environment.Spec.Namespace)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		runs, err := target.Runs(ctx, namespace)
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	slices.SortStableFunc(all, func(a, b cluster.RunStatus) int { return b.Created.Compare(a.Created) })
	return all, nil
}

// liveRun is the one in the cluster that an argument means: a run's name, or a training's newest run.
func (a *app) liveRun(ctx context.Context, target *cluster.Cluster, models *registry.Registry, arg string) (*cluster.RunStatus, error) {
	runs, err := liveRuns(ctx, target, models)
	if err != nil {
		return nil, err
	}
	var names []string
	for i, r := range runs {
		if r.Name == arg || r.Training == arg {
			return &runs[i], nil
		}
		names = append(names, r.Name)
	}
	if strings.Contains(arg, "/") {
		return nil, fmt.Errorf("no run of %s is in the cluster; davit train list %s tells what came of its runs", arg, arg)
	}
	return nil, fmt.Errorf("no run %q is in the cluster%s; davit train list tells what came of those that are gone", arg, have(names))
}

// recorded finds a run in the ledger by its name or its hash.
func recorded(runs map[string]gitops.Run, arg string) (gitops.Run, error) {
	if run, ok := runs[arg]; ok {
		return run, nil
	}
	var found []gitops.Run
	var names []string
	for _, run := range runs {
		if run.Name == arg {
			found = append(found, run)
		}
		names = append(names, run.Name)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1: // of two models, whose trainings have one name
		return gitops.Run{}, fmt.Errorf("%d runs are called %q; name one by its hash: davit train list -o json tells it", len(found), arg)
	case strings.Contains(arg, "/"):
		return gitops.Run{}, usage{errors.New("name the run, such as finetune-1a2b3c4d; davit train list " + arg + " lists them")}
	}
	return gitops.Run{}, fmt.Errorf("no run %q is in the ledger%s", arg, have(names))
}

// trainingAt is a sound training of a tree.
func trainingAt(fsys fs.FS, key string) (*registry.Training, error) {
	models, err := registry.Load(fsys)
	if err != nil {
		return nil, err
	}
	return trainingOf(models, key)
}

// tellBefore says when the run of the spec as it is has not ended: the next one would be beside it, or in its place.
func (a *app) tellBefore(cmd *cobra.Command, t *registry.Training, hash string) {
	ctx, name := cmd.Context(), t.RunName(hash)
	source, err := a.source(ctx)
	if err != nil {
		return
	}
	runs, err := ledger(ctx, source)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: whether %s has ended is not known: %s\n", name, plainLines(err.Error()))
		return
	}
	switch run, ok := runs[hash]; {
	case !ok:
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: the ledger here has no run %s of the spec as it is; git fetch brings what others know, and a spec that never ran needs no other attempt\n", name)
	case !run.State.Ended():
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s of the spec as it is has not ended (%s), and the next one runs beside it; davit train cancel %s ends it\n", name, run.State, name)
	}
}
