package main

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/registry"
)

// waitsForRoom is the state of a trial that begins once another of its training's runs has ended.
const waitsForRoom = "Waiting"

// trials are a training's runs as nobody started them, a sweep's in their order: the first NotStarted, and those Waiting that
// the sweep has no room for.
func (l *runList) trials(t *registry.Training) (rows []trainingRun, err error) {
	free := -1 // any number
	if s := t.Spec.Sweep; s != nil && s.Parallel > 0 {
		free = s.Parallel
		for _, run := range l.ledger {
			if run.Training == t.Key() && run.Environment == t.Environment.Name && !run.State.Ended() {
				free--
			}
		}
		free = max(free, 0)
	}
	for _, trial := range t.Trials() {
		hash, err := trial.RunHash(l.models.FS())
		if err != nil {
			return nil, err
		}
		row := trainingRun{Run: t.RunName(hash), Hash: hash, Training: t.Key(), Environment: t.Environment.Name, Trial: trial.Values(),
			State: status.NotStarted, GPUs: t.Spec.GPUs * t.Nodes(), Nodes: t.Nodes()}
		if _, ran := l.ledger[hash]; !ran {
			if free == 0 {
				row.State, row.Message = waitsForRoom, fmt.Sprintf("%d at once", t.Spec.Sweep.Parallel)
			} else if free > 0 {
				free--
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// fillTrials has runs recognized as trials that were claimed for no sweep, or live ones that the ledger here does not have.
func fillTrials(rows, trials []trainingRun) {
	values := map[string]map[string]string{}
	for _, trial := range trials {
		values[trial.Training+" "+trial.Run] = trial.Trial
	}
	for i, row := range rows {
		if row.Trial == nil {
			rows[i].Trial = values[row.Training+" "+row.Run]
		}
	}
}

// withTrials adds the column of trials after the run's, where there are any.
func withTrials(head []any, rows [][]any, runs []trainingRun) ([]any, [][]any) {
	if !slices.ContainsFunc(runs, func(r trainingRun) bool { return len(r.Trial) > 0 }) {
		return head, rows
	}
	head = slices.Insert(head, 1, any("TRIAL"))
	for i, r := range runs {
		rows[i] = slices.Insert(rows[i], 1, any(orDash(r.trial())))
	}
	return head, rows
}

// trial is such as "depth=3 lr=0.1".
func (r trainingRun) trial() string {
	var all []string
	for name, value := range r.Trial {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return plain(strings.Join(all, " "))
}

// starting is what a spec starts, for people: a run by its name, or how many trials.
func starting(t *registry.Training, fsys fs.FS) (string, error) {
	trials := t.Trials()
	if t.Spec.Sweep != nil {
		return "the " + counted(len(trials), "trial") + " of its sweep", nil
	}
	hash, err := t.RunHash(fsys)
	if err != nil {
		return "", err
	}
	return t.RunName(hash), nil
}

// tellBeforeAll is tellBefore, for a sweep's trials together.
func (a *app) tellBeforeAll(cmd *cobra.Command, t *registry.Training, fsys fs.FS) error {
	if t.Spec.Sweep == nil {
		hash, err := t.RunHash(fsys)
		if err == nil {
			a.tellBefore(cmd, t, hash)
		}
		return err
	}
	source, err := a.source(cmd.Context())
	if err != nil {
		return nil
	}
	runs, err := ledger(cmd.Context(), source)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: whether its trials have ended is not known: %s\n", plainLines(err.Error()))
		return nil
	}
	open := 0
	for _, trial := range t.Trials() {
		hash, err := trial.RunHash(fsys)
		if err != nil {
			return err
		}
		if run, there := runs[hash]; there && !run.State.Ended() {
			open++
		}
	}
	if open > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s of the spec as it is have not ended, and the next ones run beside them; davit train list %s lists them\n", counted(open, "trial"), t.Key())
	}
	return nil
}
