package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

func trainListCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [ENV|MODEL/NAME]",
		Short: "List the runs of trainings, newest first, and the specs that were not run yet",
		Long: "Lists what the ledger in Git has, with how it stands in the cluster where that can be reached, and the trainings\n" +
			"whose spec has no run yet.",
		Example: "  davit train list\n  davit train list iris/finetune -o json",
		Args:    cobra.MaximumNArgs(1),
	}
	offline := c.Flags().Bool("offline", false, "do not ask the cluster")
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		match, err := trainingSelector(models, args)
		if err != nil {
			return err
		}
		l := &runList{models: models, now: time.Now()}
		if err := l.read(cmd, a, *offline); err != nil {
			return err
		}
		rows, err := l.rows()
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r trainingRun) bool { return !match(r) })
		return printRuns(cmd, *format, rows)
	}
	return c
}

// trainingSelector refuses a name that nothing in the registry bears; a run's training may be gone from it.
func trainingSelector(models *registry.Registry, args []string) (func(trainingRun) bool, error) {
	if len(args) == 0 {
		return func(trainingRun) bool { return true }, nil
	}
	if strings.Contains(args[0], "/") {
		return func(r trainingRun) bool { return r.Training == args[0] }, nil
	}
	if known := keys(models.Environments); !slices.Contains(known, args[0]) {
		return nil, usage{fmt.Errorf("there is no environment %q%s; a training is MODEL/NAME", args[0], have(known))}
	}
	return func(r trainingRun) bool { return r.Environment == args[0] }, nil
}

// trainingRun is a row of the list.
type trainingRun = runs.Run

// runList joins what is known of runs.
type runList struct {
	models *registry.Registry
	ledger map[string]gitops.Run
	live   []cluster.RunStatus
	kept   map[string]keptRun
	now    time.Time
}

// read reads the ledger, and the cluster where it can be reached.
func (l *runList) read(cmd *cobra.Command, a *app, offline bool) error {
	ctx := cmd.Context()
	source, err := a.source(ctx)
	if err != nil {
		return err
	}
	if l.ledger, err = ledger(ctx, source); err != nil || offline {
		return err
	}
	if err := l.look(ctx, a); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: how runs stand in the cluster is not known: %s\n", plainLines(err.Error()))
	}
	return ctx.Err()
}

// clusterTime is how long the cluster may take to answer a command that does without.
var clusterTime = 15 * time.Second

func (l *runList) look(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTime)
	defer cancel()
	target, err := a.cluster(ctx)
	if err != nil {
		return err
	}
	var faults []error
	if l.kept, err = keptRuns(ctx, target, l.models, func(err error) { faults = append(faults, err) }); err != nil {
		return err
	}
	l.ledger = withKept(l.ledger, l.kept)
	if l.live, err = liveRuns(ctx, target, l.models); err != nil {
		return err
	}
	for i := range l.live {
		target.Progress(ctx, &l.live[i])
	}
	return errors.Join(faults...)
}

// rows are newest first; what was not started is newer than all.
func (l *runList) rows() ([]trainingRun, error) {
	kept := func(hash string) bool { _, is := l.kept[hash]; return is }
	return (&runs.Known{Models: l.models, Ledger: l.ledger, Kept: kept, Live: l.live, Now: l.now}).All()
}

// elapsed is how long a run took, or takes so far.
func elapsed(r *trainingRun, now time.Time) string {
	if d, known := r.Elapsed(now); known {
		return length(d)
	}
	return "-"
}

func printRuns(cmd *cobra.Command, format string, all []trainingRun) error {
	if len(all) == 0 && format == "table" {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: no runs, and no trainings that could have any; write one as models/<model>/training/<name>.yaml")
		return nil
	}
	now := time.Now()
	var rows [][]any
	for i := range all {
		r := &all[i]
		rows = append(rows, []any{orDash(r.Run), r.Training, r.Environment, r.Standing(), elapsed(r, now), r.GPUs, orDash(strings.Join(r.Where, ",")), orDash(r.Version), orDash(short(r.Commit))})
	}
	head := []any{"RUN", "TRAINING", "ENVIRONMENT", "STATE", "ELAPSED", "GPUS", "WHERE", "VERSION", "COMMIT"}
	head, rows = withTrials(head, rows, all)
	return printData(cmd.OutOrStdout(), format, all, head, rows)
}
