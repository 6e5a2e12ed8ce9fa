package reconciler

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// enqueue puts a release on its site's queue and counts it as open until it settles.
func (r *Reconciler) enqueue(key registry.Key) { r.enqueueAfter(key, 0) }

func (r *Reconciler) enqueueAfter(key registry.Key, after time.Duration) {
	site := r.site(key.Environment)
	if site == nil {
		r.state(key).trouble.Store("no place is granted to environment " + key.Environment)
		r.cfg.Log.Warn("release stopped", "release", key.String(), "why", "no place is granted to its environment")
		return
	}
	r.mu.Lock()
	r.open[key]++
	r.mu.Unlock()
	if after > 0 {
		site.queue.AddAfter(key, after)
	} else {
		site.queue.Add(key)
	}
}

func (r *Reconciler) asked(key registry.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[key]
}

// close takes a release as settled, unless it was queued again since asked was read.
func (r *Reconciler) close(key registry.Key, asked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if asked == 0 || r.open[key] != asked {
		return
	}
	delete(r.open, key)
	if len(r.open) == 0 {
		close(r.idle)
		r.idle = make(chan struct{})
	}
}

// waiting lists the open releases of a site.
func (r *Reconciler) waiting(s *site) (keys []registry.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.open {
		if r.site(key.Environment) == s {
			keys = append(keys, key)
		}
	}
	return keys
}

// all lists what is known of the releases.
func (r *Reconciler) all() []*state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.states)) // a worker that holds its state may want r.mu
}

// settled is closed when no release is queued or under way.
func (r *Reconciler) settled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return r.idle
}

// unsettled says of each open release how it stands.
func (r *Reconciler) unsettled() (lines []string) {
	r.mu.Lock()
	keys := slices.SortedFunc(maps.Keys(r.open), func(a, b registry.Key) int { return strings.Compare(a.String(), b.String()) })
	r.mu.Unlock()
	for _, key := range keys {
		s := r.state(key)
		text := s.trouble.Load()
		if !s.work.TryLock() {
			lines = append(lines, key.String()+": is being worked on")
			continue
		}
		if s.release != nil && text == "" {
			text = strings.TrimSpace(string(s.release.Status.Phase) + " " + s.release.Status.Message)
		}
		s.work.Unlock()
		lines = append(lines, key.String()+": "+text)
	}
	return lines
}

func (r *Reconciler) state(key registry.Key) *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.states[key]
	if s == nil {
		s = &state{key: key}
		r.states[key] = s
	}
	return s
}
