package reconciler

import (
	"maps"

	"github.com/davit-dev/davit/registry"
)

// makesRoom says that a release waits for GPUs, and has enough of them once those go that the registry no longer has. They
// go before it is healthy then: in a quota that is full, both would wait for each other for ever.
func (r *Reconciler) makesRoom(want *desired, next registry.Key) bool {
	s, release := r.peek(next), want.models.Release(next)
	if s == nil || release == nil {
		return false
	}
	if b := s.back.Load(); b == nil || b.reason != ReasonQuotaExceeded {
		return false
	}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	l := r.ledger(want, next.Environment)
	left := &ledger{all: l.all, teams: maps.Clone(l.teams)}
	for _, old := range r.all() {
		_, broken := want.models.Broken[old.key]
		if old.key.Environment == next.Environment && want.models.Release(old.key) == nil && !broken {
			left.add("", -int(old.gpus.Load())) // as the ledger counts what is in no team any more
		}
	}
	return left.over(r.quotaOf(release.Environment), wishFor(release, release.GPUs()-int(s.gpus.Load()))) == ""
}
