package reconciler

import (
	"context"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// upgraded lists, at the start, the releases whose recorded inputs differ though no file of theirs changed since: another
// davit recorded them, and what this one renders may be other bytes. They go in waves as a shared change does.
func (r *Reconciler) upgraded(next *desired) map[registry.Key]bool {
	if r.desired.Load() != nil {
		return nil
	}
	keys := map[registry.Key]bool{} // a commit may have moved all of them
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.states {
		if input := next.keys[key]; input != "" && s.renderedOtherwise(input, next.since[key]) {
			keys[key] = true
		}
	}
	return keys
}

// renderedOtherwise says that a release was applied at a commit with other inputs than that commit gives now.
func (s *state) renderedOtherwise(input string, since gitops.Hash) bool {
	s.work.Lock()
	defer s.work.Unlock()
	if s.release == nil || s.release.Pending() {
		return false
	}
	applied := s.release.Status.Applied
	return applied.InputKey != "" && applied.InputKey != input && gitops.ParseHash(applied.Commit) == since
}

// renewKey records the inputs as this davit sees them where another one recorded those of the same commit and the objects
// are the same: once, so that the next start need not render the release to find that out.
func (r *Reconciler) renewKey(ctx context.Context, s *state, t *target) error {
	st := &s.release.Status
	if s.passing != t.key || gitops.ParseHash(st.Applied.Commit) != t.commit || st.Applied.InputKey == t.key {
		return nil
	}
	if st.Healthy.ObjectsHash == st.Applied.ObjectsHash && st.Healthy.InputKey == st.Applied.InputKey {
		st.Healthy.InputKey = t.key
	}
	st.Applied.InputKey = t.key
	return r.write(ctx, s)
}
