package metrics

import (
	"fmt"
	"time"
)

// stillLooking is how long a registry's loop may be silent: a fetch may take ten minutes, and after failures the next
// look comes five minutes later.
const stillLooking = 20 * time.Minute

// stillWorking is how long releases that are due may wait while no worker moves. What a worker does beside model images is
// bounded by minutes: requests by their connections, smoke tests and the reading of Git by themselves.
const stillWorking = 30 * time.Minute

// Alive says which registry's loop has not looked at its repository for too long, with or without success, or where
// nobody works on what is due: then it hangs, and only a restart helps. The building of images may take hours and never
// counts, so that one that hangs is not told.
func (m *Metrics) Alive() error {
	for name, r := range m.recorders() {
		r.mu.Lock()
		silent, stuck := time.Since(r.looked), r.stuck
		r.mu.Unlock()
		if stuck != nil {
			if waits := stuck(); waits > stillWorking {
				return fmt.Errorf("registry %s: releases wait, and no worker moved for %s", name, waits.Round(time.Second))
			}
		}
		if silent > stillLooking+2*r.interval() {
			return fmt.Errorf("registry %s: its repository was not looked at for %s", name, silent.Round(time.Second))
		}
	}
	return nil
}

// Works has [Metrics.Alive] ask how long what is due has waited with no worker moving, until stop is called.
func (r *Recorder) Works(stuck func() time.Duration) (stop func()) {
	if r == nil {
		return func() {}
	}
	set := func(to func() time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stuck = to
	}
	set(stuck)
	return func() { set(nil) }
}

// Ready says which registry was neither followed yet nor told why it can't be. One that can't be does not keep the
// others from being served.
func (m *Metrics) Ready() error {
	for name, r := range m.recorders() {
		r.mu.Lock()
		settled := r.settled
		r.mu.Unlock()
		if !settled {
			return fmt.Errorf("registry %s: not followed yet", name)
		}
	}
	return nil
}

// Every says how often the repository is looked at.
func (r *Recorder) Every(interval time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = interval
	r.m.interval.WithLabelValues(r.registry).Set(interval.Seconds())
}

func (r *Recorder) interval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quiet
}
