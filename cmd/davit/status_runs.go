package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// endedLately is how long a run is shown after its end.
const endedLately = 24 * time.Hour

// statusRuns prints, after an empty line, the runs that matter now, of one environment where an argument names it. Where
// there is no registry here it has none, and what it can't read it tells of: the releases are what status is for.
func (a *app) statusRuns(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	fsys, err := a.tree(ctx, cmd.ErrOrStderr())
	if err != nil {
		return ctx.Err()
	}
	models, err := registry.Load(fsys)
	if err != nil {
		return ctx.Err()
	}
	l := &runList{models: models, now: time.Now()}
	if err := l.read(cmd, a, false); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: runs of trainings are not known: %s\n", plainLines(err.Error()))
		return ctx.Err()
	}
	all, err := l.rows()
	if err != nil {
		return err
	}
	var rows [][]any
	for _, r := range all {
		if len(args) > 0 && r.Environment != args[0] || !r.matters(models, l.now) {
			continue
		}
		rows = append(rows, []any{r.Run, r.Training, r.Environment, r.state(), r.elapsed(l.now), r.GPUs, orDash(strings.Join(r.Where, ",")), r.todo(models)})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return printData(cmd.OutOrStdout(), "table", nil, []any{"RUN", "TRAINING", "ENV", "STATE", "ELAPSED", "GPUS", "WHERE", "TO DO"}, rows)
}

// matters says whether a run is under way, ended lately, or waits for a person to merge what it made.
func (r trainingRun) matters(models *registry.Registry, now time.Time) bool {
	switch {
	case r.State == notStarted:
		return false
	case r.Ended.IsZero(), now.Sub(r.Ended) < endedLately:
		return true
	}
	return r.State == string(gitops.RunSucceeded) && !r.merged(models)
}

// merged says whether the registry here has what the run made, or never will: of a sweep's trials the best alone makes a
// version, and a model may be gone.
func (r trainingRun) merged(models *registry.Registry) bool {
	if r.Trial != nil && r.Version == "" && !r.Kept {
		return true
	}
	model, _, _ := strings.Cut(r.Training, "/")
	m := models.Models[model]
	if m == nil {
		return true
	}
	for name, v := range m.Versions {
		if v.Spec.Lineage.TrainedBy == r.Run || name == r.Version {
			return true
		}
	}
	return false
}

// todo is the command that helps, or what is waited for.
func (r trainingRun) todo(models *registry.Registry) string {
	model, _, _ := strings.Cut(r.Training, "/")
	switch gitops.RunState(r.State) {
	case gitops.RunSucceeded:
		switch {
		case r.merged(models):
			return "-"
		case r.Version == "" && r.Kept:
			return "davit train version " + r.Run
		case r.Version == "":
			return "its version is being proposed"
		}
		return "merge davit/train/" + model + "/" + r.Version
	case gitops.RunFailed, gitops.RunLost:
		return "davit train again " + r.Training
	}
	return "-"
}
