package main

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
)

// withTrials adds the column of trials after the run's, where there are any.
func withTrials(head []any, rows [][]any, all []trainingRun) ([]any, [][]any) {
	if !slices.ContainsFunc(all, func(r trainingRun) bool { return len(r.Trial) > 0 }) {
		return head, rows
	}
	head = slices.Insert(head, 1, any("TRIAL"))
	for i := range all {
		rows[i] = slices.Insert(rows[i], 1, any(orDash(plain(all[i].Values()))))
	}
	return head, rows
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
