package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
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
type trainingRun struct {
	Run         string `json:"run"`
	Hash        string `json:"hash,omitempty"`
	Training    string `json:"training"`
	Environment string `json:"environment"`
	// Trial are the values that a sweep gave it; nil for what is no trial.
	Trial map[string]string `json:"trial,omitempty"`
	// State is the ledger's once the run ended, before that the cluster's where it is known, and without a run "NotStarted", or "Waiting" for
	// the schedule.
	State    string             `json:"state"`
	Reason   string             `json:"reason,omitempty"`
	Message  string             `json:"message,omitempty"`
	Progress string             `json:"progress,omitempty"`
	Attempt  int                `json:"attempt,omitempty"`
	GPUs     int                `json:"gpus"`
	Nodes    int                `json:"nodes,omitempty"`
	Where    []string           `json:"where,omitempty"`
	Version  string             `json:"version,omitempty"`
	Image    string             `json:"image,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Commit   string             `json:"commit,omitempty"`
	Claimed  time.Time          `json:"claimed,omitzero"`
	Started  time.Time          `json:"started,omitzero"`
	Ended    time.Time          `json:"ended,omitzero"`
	// Next is when the schedule has its data looked at, of a training that waits for that.
	Next time.Time `json:"next,omitzero"`
	// Kept says that its record is in the cluster alone.
	Kept bool `json:"kept,omitempty"`
}

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
const clusterTime = 15 * time.Second

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
	rows, seen := []trainingRun{}, map[string]bool{}
	for _, run := range l.ledger {
		row := fromLedger(run)
		_, row.Kept = l.kept[run.Hash]
		for _, live := range l.live {
			if live.Name == run.Name && live.Training == run.Training {
				row.add(live)
			}
		}
		rows, seen[run.Training+" "+run.Name] = append(rows, row), true
	}
	for _, live := range l.live {
		if key := live.Training + " " + live.Name; !seen[key] {
			row := trainingRun{Run: live.Name, Training: live.Training, Environment: live.Environment, Claimed: live.Created}
			row.add(live)
			rows, seen[key] = append(rows, row), true
		}
	}
	for _, t := range l.models.Trainings {
		if t.Waits() {
			rows = append(rows, scheduledRow(t, l.now))
			continue
		}
		trials, err := l.trials(t)
		if err != nil {
			return nil, err
		}
		for _, row := range trials {
			if _, ran := l.ledger[row.Hash]; !ran && !seen[t.Key()+" "+row.Run] {
				rows = append(rows, row)
			}
		}
		fillTrials(rows, trials)
	}
	slices.SortFunc(rows, func(a, b trainingRun) int {
		if order := cmp.Compare(a.age(l.now), b.age(l.now)); order != 0 {
			return order
		}
		return cmp.Or(strings.Compare(a.Training, b.Training), strings.Compare(a.Run, b.Run))
	})
	return rows, nil
}

func fromLedger(run gitops.Run) trainingRun {
	return trainingRun{
		Run: run.Name, Hash: run.Hash, Training: run.Training, Environment: run.Environment, Trial: run.Trial, State: string(run.State),
		Reason: run.Reason, Message: run.Message, Version: run.Version, Image: run.Image, Metrics: run.Metrics, Commit: run.Commit,
		Claimed: run.Claimed, Started: run.Started, Ended: run.Ended,
	}
}

// add is what the cluster knows. Of a run that ended the ledger has the word.
func (r *trainingRun) add(live cluster.RunStatus) {
	r.GPUs, r.Nodes, r.Where, r.Attempt = live.GPUs, live.Nodes, live.Where, live.Attempt
	if r.Started.IsZero() {
		r.Started = live.Started
	}
	if gitops.RunState(r.State).Ended() {
		return
	}
	r.State, r.Reason, r.Message, r.Progress, r.Ended = string(live.Phase), live.Reason, live.Message, live.Progress, live.Ended
}

func (r trainingRun) age(now time.Time) time.Duration {
	if r.Claimed.IsZero() {
		return 0
	}
	return now.Sub(r.Claimed)
}

// elapsed counts from the first container's start, or from the claim while there was none.
func (r trainingRun) elapsed(now time.Time) string {
	from, to := r.Started, r.Ended
	if from.IsZero() {
		from = r.Claimed
	}
	if to.IsZero() {
		to = now
	}
	if from.IsZero() || to.Before(from) {
		return "-"
	}
	return length(to.Sub(from))
}

// state is the state with what matters most about it, and a mark on what the cluster keeps alone.
func (r trainingRun) state() string {
	if r.Kept {
		return r.standing() + " (kept in the cluster)"
	}
	return r.standing()
}

func (r trainingRun) standing() string {
	switch {
	case !r.Next.IsZero():
		return r.State + " until " + r.Next.Format(time.RFC3339)
	case r.State == string(gitops.RunSucceeded) && r.Version != "":
		return r.State + " → " + r.Version
	case r.State == string(cluster.RunQueued), r.State == waitsForRoom:
		return r.State + ": " + cmp.Or(r.Message, r.Reason, "no reason is known")
	case r.Progress != "":
		return r.State + " " + r.Progress
	case r.Reason != "" && r.State != string(gitops.RunSucceeded):
		return r.State + ": " + r.Reason
	}
	return r.State
}

func printRuns(cmd *cobra.Command, format string, runs []trainingRun) error {
	if len(runs) == 0 && format == "table" {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: no runs, and no trainings that could have any; write one as models/<model>/training/<name>.yaml")
		return nil
	}
	now := time.Now()
	var rows [][]any
	for _, r := range runs {
		rows = append(rows, []any{orDash(r.Run), r.Training, r.Environment, r.state(), r.elapsed(now), r.GPUs, orDash(strings.Join(r.Where, ",")), orDash(r.Version), orDash(short(r.Commit))})
	}
	head := []any{"RUN", "TRAINING", "ENVIRONMENT", "STATE", "ELAPSED", "GPUS", "WHERE", "VERSION", "COMMIT"}
	head, rows = withTrials(head, rows, runs)
	return printData(cmd.OutOrStdout(), format, runs, head, rows)
}
