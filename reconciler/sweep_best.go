package reconciler

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
)

// contest are the trials that one is held against, as the ledger has them.
type contest struct {
	of   *registry.Training
	runs []gitops.Run // in the trials' order
	open bool         // some have not ended, or not begun
	void bool         // nothing is to be proposed of them any more
}

// settleRun goes on from a run's end: what it made is proposed, of a sweep's trials the best one's when all have ended.
// Others of its sweep may begin then. It decides by the ledger and the commits alone, so that it may be asked at any time,
// and again.
func (r *Reconciler) settleRun(ctx context.Context, x *running) error {
	if err := r.startNext(ctx, x.Run); err != nil {
		return err
	}
	c, err := r.contest(ctx, x)
	switch {
	case err != nil:
		return err
	case c == nil && x.State == gitops.RunSucceeded:
		return r.proposeVersion(ctx, x)
	case c == nil:
		return nil
	}
	return r.decideSweep(ctx, x, c)
}

// decideSweep proposes x if it won, and has the one looked at that did.
func (r *Reconciler) decideSweep(ctx context.Context, x *running, c *contest) error {
	best := c.best()
	if !c.open && !c.void && best != nil && best.Hash == x.Hash && best.Version == "" {
		x.sweep = c.told()
		return r.proposeVersion(ctx, x)
	}
	if x.State == gitops.RunSucceeded {
		r.park(x.key)
	}
	about := runKey{x.Environment, c.of.Key() + " best"}
	switch {
	case c.open || c.void:
	case best == nil:
		r.tellOnce(about, c.hashes(), func() {
			r.cfg.Log.Warn("a sweep ended without a version: no trial succeeded", "training", c.of.Key(), "environment", x.Environment, "trials", len(c.runs))
		})
	case best.Version == "":
		r.trainings.queue.Add(runKey{best.Environment, best.Hash})
	}
	return nil
}

// doneTrial goes on with a sweep of which a trial ended that nothing is left to be done for, by whomever that was noticed.
func (r *Reconciler) doneTrial(ctx context.Context, key runKey, run gitops.Run, t *registry.Training) error {
	if t == nil || t.TrialOf == nil {
		return r.startNext(ctx, run)
	}
	return r.settleRun(ctx, &running{Run: run, key: key, asked: true, spec: spec{training: t}})
}

// startNext has those trials looked at that may begin once a run of their training ended.
func (r *Reconciler) startNext(ctx context.Context, ended gitops.Run) error {
	r.trainings.mu.Lock()
	s := r.trainings.sweeps[ended.Training]
	r.trainings.mu.Unlock()
	if s == nil || s.of.Spec.Sweep.Parallel == 0 || s.of.Environment.Name != ended.Environment {
		return nil
	}
	ledger, err := r.runs.Runs(ctx)
	if err != nil {
		return err
	}
	for _, key := range s.next(ledger) {
		r.trainings.mu.Lock()
		delete(r.trainings.parked, key)
		r.trainings.mu.Unlock()
		r.trainings.queue.Add(key)
	}
	return nil
}

// contest finds what an ended run is held against; nil for a run by itself. It is the sweep of the commit followed, where
// that asks for the run. Where it does not any more, the sweep is that of the commit which the run was claimed for: with
// those of its trials that began, of which nobody waits for those that another sweep asks for by now.
func (r *Reconciler) contest(ctx context.Context, x *running) (*contest, error) {
	ledger, err := r.runs.Runs(ctx)
	if err != nil {
		return nil, err
	}
	if s := r.sweepWith(x.key); s != nil {
		return newContest(s.of, s.trials, ledger), nil
	}
	switch {
	case x.asked:
		return nil, nil
	case x.snapshot == nil && x.Trial != nil:
		r.untrained(x.key, x.training, "nothing is proposed of a sweep whose commit is gone: by what its trials are judged is not known; a spec that has them again is")
		return &contest{of: x.training, void: true}, nil
	case x.training.TrialOf == nil:
		return nil, nil
	}
	trials, err := r.trialsAt(x.snapshot, nil, x.Training)
	if err != nil {
		return nil, fmt.Errorf("reading the sweep that %s is of: %w", x.Name, err)
	}
	began := slices.DeleteFunc(slices.Clone(trials), func(t trial) bool {
		run, there := ledger[t.hash]
		return !there || !run.State.Ended() && r.isAsked(runKey{x.Environment, t.hash})
	})
	c := newContest(x.training.TrialOf, began, ledger)
	c.void = x.training.Spec.OnRemove == "cancel" // all of it, also what had ended
	return c, nil
}

// newContest has the runs of the training's environment; what was trained elsewhere is nobody's to wait for.
func newContest(of *registry.Training, trials []trial, ledger map[string]gitops.Run) *contest {
	c := &contest{of: of}
	for _, t := range trials {
		run, there := ledger[t.hash]
		if there && run.Environment != of.Environment.Name {
			continue
		}
		if c.open = c.open || !there || !run.State.Ended(); there {
			run.Trial = t.training.Values() // it may have been claimed for no sweep
			c.runs = append(c.runs, run)
		}
	}
	return c
}

func (r *Reconciler) isAsked(key runKey) bool {
	_, t := r.asks(key)
	return t != nil
}

// best is the one that succeeded with the best metric, the first of several; nil when none succeeded.
func (c *contest) best() (best *gitops.Run) {
	for i := range c.runs {
		run := &c.runs[i]
		if run.State == gitops.RunSucceeded && (best == nil || c.of.Spec.Sweep.Better(run.Metrics, best.Metrics)) {
			best = run
		}
	}
	return best
}

func (c *contest) hashes() (all string) {
	for _, run := range c.runs {
		all += run.Hash
	}
	return all
}

// told is the contest as a pull request tells of it.
func (c *contest) told() *made.Sweep { return &made.Sweep{Spec: *c.of.Spec.Sweep, Runs: c.runs} }
