package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
)

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
	for i := range all {
		r := &all[i]
		if len(args) > 0 && r.Environment != args[0] || !r.Matters(models, l.now) {
			continue
		}
		rows = append(rows, []any{r.Run, r.Training, r.Environment, r.Standing(), elapsed(r, l.now), r.GPUs, orDash(strings.Join(r.Where, ",")), orDash(r.ToDo(models))})
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return printData(cmd.OutOrStdout(), "table", nil, []any{"RUN", "TRAINING", "ENV", "STATE", "ELAPSED", "GPUS", "WHERE", "TO DO"}, rows)
}
