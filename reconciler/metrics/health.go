package metrics

import (
	"fmt"
	"time"
)

// stillLooking is how long a registry's loop may be silent: a fetch may take ten minutes, and after failures the next
// look comes five minutes later.
const stillLooking = 20 * time.Minute

// Alive says which registry's loop has not looked at its repository for too long, with or without success: then it
// hangs, and only a restart helps.
func (m *Metrics) Alive() error {
	for name, r := range m.recorders() {
		r.mu.Lock()
		silent := time.Since(r.looked)
		r.mu.Unlock()
		if silent > stillLooking+2*r.interval() {
			return fmt.Errorf("registry %s: its repository was not looked at for %s", name, silent.Round(time.Second))
		}
	}
	return nil
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
