package fleet

import (
	"context"
	"sync"

	"github.com/davit-dev/davit/registry"
)

// Change is that something is otherwise than before: a release, runs of trainings, or, without either, the registry.
type Change struct {
	Registry string
	Release  registry.Key
	Runs     bool
}

// mostChanges bounds what waits for a slow reader; one that is behind is told that anything may have changed.
const mostChanges = 256

// changes hands on what changed.
type changes struct {
	mu      sync.Mutex
	readers map[*reader]bool
}

type reader struct {
	mu      sync.Mutex
	waiting map[Change]bool
	lost    bool
	wake    chan struct{}
}

func newChanges() *changes { return &changes{readers: map[*reader]bool{}} }

func (c *changes) tell(change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.readers {
		r.add(change)
	}
}

func (r *reader) add(change Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost = r.lost || len(r.waiting) == mostChanges; r.lost {
		r.waiting = nil
	} else {
		if r.waiting == nil {
			r.waiting = map[Change]bool{}
		}
		r.waiting[change] = true
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Changes calls changed with what changed since the last call, one call at a time, until ctx ends or changed says so by an
// error, which is returned. What changed again and again while changed ran is told once; none means that more changed than
// is remembered.
func (f *Fleet) Changes(ctx context.Context, changed func([]Change) error) error {
	r := &reader{wake: make(chan struct{}, 1)}
	f.changes.mu.Lock()
	f.changes.readers[r] = true
	f.changes.mu.Unlock()
	defer func() {
		f.changes.mu.Lock()
		delete(f.changes.readers, r)
		f.changes.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		}
		r.mu.Lock()
		waiting := r.waiting
		r.waiting, r.lost = nil, false
		r.mu.Unlock()
		var all []Change
		for change := range waiting {
			all = append(all, change)
		}
		if err := changed(all); err != nil {
			return err
		}
	}
}
