package main

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/gitops"
)

// The ledger of a clone's origin, to a place of its own: the clone's own ledger is that of a davit that follows the clone.
// The pattern fits one ref and may fit none, see fetchedNotes.
const (
	originRuns  = "refs/davit/origin/runs"
	fetchedRuns = "+refs/davit/runs*:refs/davit/origin/runs*"
)

// ledger reads the runs that were ever claimed, by hash: the repository's own, or, in a clone, those of its origin as they
// were fetched last.
func ledger(ctx context.Context, source *gitops.Source) (map[string]gitops.Run, error) {
	own, err := source.NewLedger(gitops.Author{}).Runs(ctx)
	if err != nil || len(own) > 0 {
		return own, err
	}
	return source.LedgerAt(originRuns, gitops.Author{}).Runs(ctx)
}

// fetchRuns brings the origin's ledger; a repository without an origin has its own.
func (a *app) fetchRuns(ctx context.Context) (local *clone, fetched bool, err error) {
	local = &clone{dir: a.dir}
	if _, err := local.git(ctx, "remote", "get-url", "origin"); err != nil {
		return local, false, nil
	}
	_, err = local.git(ctx, "fetch", "-q", "origin", fetchedRuns)
	return local, true, err
}

// recordRun writes a run to the ledger if it is in one of the states from there: in a clone to that of its origin, with the
// credentials that git has.
func (a *app) recordRun(ctx context.Context, source *gitops.Source, run gitops.Run, from ...gitops.RunState) error {
	author := gitops.Davit()
	for tries := 0; ; tries++ {
		local, remote, err := a.fetchRuns(ctx)
		if err != nil {
			return fmt.Errorf("fetching the ledger of runs: %w", err)
		}
		if !remote {
			_, err := source.NewLedger(author).RecordRun(ctx, run, from...)
			return err
		}
		if _, err := source.LedgerAt(originRuns, author).RecordRun(ctx, run, from...); err != nil {
			return err
		}
		_, err = local.git(ctx, "push", "-q", "origin", originRuns+":"+gitops.RunsRef)
		if err == nil {
			return nil
		}
		if tries == 3 { // somebody wrote to it at each of them, or git may not
			return fmt.Errorf("pushing the ledger of runs: %w", err)
		}
	}
}
