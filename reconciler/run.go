package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
)

// Run follows the source until ctx ends; its error is then nil.
func (r *Reconciler) Run(ctx context.Context) error {
	err := r.with(ctx, func(ctx context.Context) error {
		defer r.runTries(ctx)()
		return r.cfg.Source.Watch(ctx, func(tip gitops.Hash) { r.insist(ctx, tip) })
	})
	if ctx.Err() != nil {
		return nil // asked to end, maybe before the clusters were reached
	}
	return err
}

// insist follows a tip, and while that fails whichever is the tip by then: nobody tells of a commit twice.
func (r *Reconciler) insist(ctx context.Context, tip gitops.Hash) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.follow(ctx, tip)
		r.followed(ctx, tip, err)
		if err == nil || ctx.Err() != nil || errors.As(err, new(*UnverifiedError)) {
			return
		}
		if errors.As(err, new(*RewrittenError)) || gitops.Cause(err) == gitops.FolderNotFound { // it will be so whenever it is tried
			r.cfg.Log.Warn("commit not followed", "commit", tip.String(), "why", err)
			return
		}
		r.cfg.Log.Error("commit not followed; it is tried again", "commit", tip.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if newer, err := r.cfg.Source.Fetch(ctx); err == nil {
			tip = newer
		}
	}
}

// Once takes the source's tip to the end: every release healthy, failed, rolled back or held, and every run that it asks
// for claimed and its objects made, or said why not; a run's end is not waited for. What is not settled when ctx ends is
// named in the error.
func (r *Reconciler) Once(ctx context.Context) error {
	return r.with(ctx, func(ctx context.Context) error {
		tip, err := r.cfg.Source.Fetch(ctx)
		if err != nil {
			return err
		}
		if err := r.follow(ctx, tip); err != nil {
			return err
		}
		for _, settled := range []<-chan struct{}{r.settled(), r.trainingsBegun()} {
			select {
			case <-settled:
			case <-ctx.Done():
				return fmt.Errorf("not settled: %s: %w", strings.Join(append(r.unsettled(), r.unbegun()...), "; "), ctx.Err())
			}
		}
		return nil
	})
}

// with starts the sites, all at once, runs lead, and ends them.
func (r *Reconciler) with(ctx context.Context, lead func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer r.cfg.Metrics.Read(r.standing)()
	defer r.cfg.Metrics.Works(r.stuck)()
	defer r.runNotes(ctx)()
	defer r.finishErrands(ctx) // the sites have stopped by then
	stops, errs := make([]func(), len(r.sites)), make([]error, len(r.sites))
	var starting sync.WaitGroup
	for i, s := range r.sites {
		starting.Go(func() { stops[i], errs[i] = r.start(ctx, s) })
	}
	starting.Go(func() { r.loadAhead(ctx) })
	starting.Wait()
	defer func() {
		cancel()
		for _, stop := range stops {
			stop()
		}
		r.endWays()
	}()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	var visits sync.WaitGroup
	defer visits.Wait()
	defer cancel()
	visits.Go(func() { r.runErrands(ctx) })
	visits.Go(func() { r.runTrainings(ctx) })
	visits.Go(func() { r.watchServing(ctx) })
	for _, place := range r.cfg.Former {
		visits.Go(func() { r.visit(ctx, &former{Former: place}) })
	}
	return lead(ctx)
}
