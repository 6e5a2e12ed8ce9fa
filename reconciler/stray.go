package reconciler

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// claimed is a commit that releases of an environment are claimed for.
type claimed struct {
	environment string
	commit      gitops.Hash
}

// claimedFor is the commit that tells of which history a release is: its claim's, or the one that it went back from to its last
// healthy revision, which may be of a history that was given up. What a pin chose and failed may be older than the claim.
func claimedFor(mr *v1alpha1.ModelRelease) string {
	claim, outcomes := mr.Spec.Claim.Commit, mr.Status.Outcomes
	if claim != mr.Status.Healthy.Commit || len(outcomes) == 0 || len(outcomes) > 1 && outcomes[1].Outcome == v1alpha1.Pinned {
		return claim
	}
	if last := outcomes[0]; last.Outcome == v1alpha1.Failed || last.Outcome == v1alpha1.RolledBack {
		return last.Commit
	}
	return claim
}

// claimed lists them, as far as their clusters have told.
func (r *Reconciler) claimed() map[claimed][]*state {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[claimed][]*state{}
	for key, s := range r.states {
		if h := gitops.ParseHash(s.claimed.Load()); !h.IsZero() {
			c := claimed{key.Environment, h}
			all[c] = append(all[c], s)
		}
	}
	return all
}

// inHistory says whether a claimed commit is in the history of what its environment follows. What is stays so, until a
// rewrite is accepted; and all of the environment's claims are looked for in one walk: a shared change makes thousands.
func (r *Reconciler) inHistory(ctx context.Context, c claimed, tip gitops.Hash) (bool, error) {
	if _, ok := r.within.Load(c); ok {
		return true, nil
	}
	r.seeking.Lock()
	defer r.seeking.Unlock()
	if _, ok := r.within.Load(c); ok { // found by another
		return true, nil
	}
	commits := []gitops.Hash{c.commit}
	for other := range r.claimed() {
		if _, ok := r.within.Load(other); !ok && other.environment == c.environment && r.cfg.Source.Has(other.commit) {
			commits = append(commits, other.commit)
		}
	}
	outside, err := r.cfg.Source.Outside(ctx, tip, commits...)
	if err != nil {
		return false, err
	}
	for _, commit := range commits {
		if !slices.Contains(outside, commit) {
			r.within.Store(claimed{c.environment, commit}, true)
		}
	}
	return !slices.Contains(outside, c.commit), nil
}

// findStrays marks the releases that are claimed for a commit of the history that was given up. Their claims are renewed:
// the next process would take them for a sign of another rewrite.
func (r *Reconciler) findStrays(ctx context.Context, tip gitops.Hash) error {
	r.within.Clear()
	all := r.claimed()
	var commits []gitops.Hash
	for c := range all {
		commits = append(commits, c.commit)
	}
	outside, err := r.cfg.Source.Outside(ctx, tip, commits...)
	if err != nil {
		return fmt.Errorf("looking for releases of the history before %s: %w", tip, err)
	}
	for c, states := range all {
		for _, s := range states {
			if slices.Contains(outside, c.commit) {
				s.stray.Store(true)
			}
		}
	}
	return nil
}

// strays are the releases that findStrays marked and that are not claimed anew yet.
func (r *Reconciler) strays() map[registry.Key]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := map[registry.Key]bool{}
	for key, s := range r.states {
		if s.stray.Load() {
			keys[key] = true
		}
	}
	return keys
}

// renewClaim claims a stray release, which is as the tip wants it, for the tip's history.
func (r *Reconciler) renewClaim(ctx context.Context, s *state, t *target) error {
	if !s.stray.Load() || t.rollback || t.kept || t.pin != nil {
		return nil
	}
	if err := r.claim(ctx, s, t, nil); err != nil {
		return err
	}
	st := &s.release.Status
	st.Token = s.release.Spec.Claim.Token
	same := st.Healthy.ObjectsHash == st.Applied.ObjectsHash
	if st.Applied = t.renew(st.Applied); same {
		st.Healthy = st.Applied
	}
	s.phase(st.Phase, st.Reason, st.Message)
	return r.write(ctx, s)
}
