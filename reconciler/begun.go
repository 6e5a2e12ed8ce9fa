package reconciler

import (
	"slices"
	"sync"
	"time"
)

// begun says when all runs that commits ask for were looked at, and each begun or said why not.
type begun struct {
	mu   sync.Mutex
	left map[runKey]string // and what kept them
	none chan struct{}     // closed when nothing is left, and replaced
}

func newBegun() *begun { return &begun{left: map[runKey]string{}, none: make(chan struct{})} }

// wait adds a run that is queued.
func (b *begun) wait(key runKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left[key] = "is being looked at"
}

// looked is told how a look at a run ended. Only a look that could not be taken, or failed, is taken again so soon: of a run
// that was begun nothing is asked but every lookAtRun, and of what may not begin nothing.
func (b *begun) looked(key runKey, again time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, waits := b.left[key]; !waits {
		return
	}
	switch {
	case err != nil:
		b.left[key] = err.Error()
		return
	case again > 0 && again <= time.Second:
		b.left[key] = "its cluster was not reached yet"
		return
	}
	delete(b.left, key)
	if len(b.left) == 0 {
		close(b.none)
		b.none = make(chan struct{})
	}
}

// trainingsBegun is closed when that is so.
func (r *Reconciler) trainingsBegun() <-chan struct{} {
	b := r.trainings.begun
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.left) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return b.none
}

// unbegun says what keeps runs from beginning.
func (r *Reconciler) unbegun() (lines []string) {
	b := r.trainings.begun
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, why := range b.left {
		lines = append(lines, "run "+key.hash[:12]+" in "+key.environment+": "+why)
	}
	slices.Sort(lines)
	return lines
}
