package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// RewrittenError says that a commit does not come after the one that was followed last: the branch was rewritten or set
// back, or this controller is behind another one. Nothing moves until it does, or a person accepts it.
type RewrittenError struct {
	Old, New gitops.Hash
	Known    bool   // Old is in the repository
	Tag      string // names New where tags are followed
}

func (e *RewrittenError) Error() string {
	text := fmt.Sprintf("commit %.12s does not come after %.12s, which was followed last", e.New, e.Old)
	switch {
	case !e.Known:
		text = fmt.Sprintf("commit %.12s, which was followed last, is not in this repository, so nobody can say whether %.12s comes after it", e.Old, e.New)
	case e.Tag == "":
		text += ": the branch was rewritten"
	}
	if e.Tag != "" {
		return fmt.Sprintf("%s: %s; nothing moves until a tag that comes after it is followed, or a person accepts this one, which is also the way back to an older tag: acceptRewrite: %s in the ModelRegistry or davit sync --accept-rewrite", e.Tag, text, e.New)
	}
	return fmt.Sprintf("%s; nothing moves until the branch has it again, or a person accepts acceptRewrite: %s in the ModelRegistry or with davit sync --accept-rewrite", text, e.New)
}

// comesAfter is the tip if it comes after all that was followed before. Otherwise it is what is followed meanwhile, and
// held a *RewrittenError: nothing in a process where everything stays as it is, and in a new one what the last one
// followed, so that drift, rollbacks and pins go on.
func (r *Reconciler) comesAfter(ctx context.Context, tip gitops.Hash) (follow gitops.Hash, held, err error) {
	outside, err := r.cfg.Source.Outside(ctx, tip, r.followedLast()...)
	if err != nil {
		return gitops.Hash{}, nil, fmt.Errorf("comparing %s with what was followed last: %w", tip, err)
	}
	if len(outside) == 0 {
		return tip, nil, r.useAccept(ctx, tip)
	}
	accepted := true
	for _, old := range outside {
		ok, err := r.accepted(ctx, old, tip)
		if err != nil {
			return gitops.Hash{}, nil, err
		}
		accepted = accepted && ok
	}
	if accepted {
		r.abandon(outside)
		return tip, nil, errors.Join(r.findStrays(ctx, tip), r.useAccept(ctx, tip))
	}
	if r.desired.Load() == nil {
		for _, old := range outside { // the one that all others come before
			if !r.cfg.Source.Has(old) {
				continue
			}
			if later, err := r.cfg.Source.Outside(ctx, old, outside...); err == nil && len(later) == 0 {
				return old, r.rewritten(old, tip), nil
			}
		}
	}
	return gitops.Hash{}, r.rewritten(outside[0], tip), nil
}

// followedLast are the commits that were followed last: this process's own, or those recorded of its environments, or
// else what its releases are claimed for.
func (r *Reconciler) followedLast() []gitops.Hash {
	if want := r.desired.Load(); want != nil && len(r.cfg.Grants) == 0 {
		return []gitops.Hash{want.snapshot.Hash()}
	}
	recorded := r.Following()
	if len(recorded) == 0 {
		recorded = r.cfg.Last
	}
	last := map[gitops.Hash]bool{}
	for environment, commit := range recorded {
		if r.mine(environment) && !commit.IsZero() {
			last[commit] = true
		}
	}
	if len(last) == 0 {
		for c := range r.claimed() {
			last[c.commit] = true
		}
	}
	return slices.SortedFunc(maps.Keys(last), func(a, b gitops.Hash) int { return slices.Compare(a[:], b[:]) })
}

// accepted says whether a person accepted that a tip is followed after a commit it does not come after. That holds for
// what comes after it, too, and once: from then on what was followed last has it in its history.
func (r *Reconciler) accepted(ctx context.Context, old, tip gitops.Hash) (bool, error) {
	accept := r.cfg.Accept
	if r.cfg.AcceptRewrite || accept == tip && r.accepts.Load() {
		return true, nil
	}
	if accept.IsZero() || !r.cfg.Source.Has(old) {
		return false, nil
	}
	for commit, within := range map[gitops.Hash]bool{tip: true, old: false} {
		outside, err := r.cfg.Source.Outside(ctx, commit, accept)
		if err != nil || (len(outside) == 0) != within {
			return false, err
		}
	}
	return true, nil
}

// useAccept ends the acceptance of a commit that is followed now.
func (r *Reconciler) useAccept(ctx context.Context, tip gitops.Hash) error {
	if !r.accepts.Load() {
		return nil
	}
	outside, err := r.cfg.Source.Outside(ctx, tip, r.cfg.Accept)
	if err == nil && len(outside) == 0 {
		r.accepts.Store(false)
	}
	return err
}

// Accepted says that a branch was followed by Config.Accept, for the next process's Config.Accepted.
func (r *Reconciler) Accepted() bool { return !r.cfg.Accept.IsZero() && !r.accepts.Load() }

// Following says which commit each granted environment follows now, for Config.Last of the next process.
func (r *Reconciler) Following() map[string]gitops.Hash {
	at := map[string]gitops.Hash{}
	for environment := range r.cfg.Grants {
		if want := r.wanted(environment); want != nil && r.mine(environment) {
			at[environment] = want.snapshot.Hash()
		}
	}
	return at
}

// recordFollowed writes down what environments follow. Those that are another controller's stay as they are, and those
// that are not granted any more are dropped.
func recordFollowed(st *v1alpha1.ModelRegistryStatus, granted []v1alpha1.EnvironmentGrant, now map[string]gitops.Hash) {
	st.Followed = slices.DeleteFunc(st.Followed, func(f v1alpha1.FollowedCommit) bool {
		return now[f.Environment] != gitops.Hash{} || !slices.ContainsFunc(granted, func(g v1alpha1.EnvironmentGrant) bool { return g.Name == f.Environment })
	})
	for _, environment := range slices.Sorted(maps.Keys(now)) {
		st.Followed = append(st.Followed, v1alpha1.FollowedCommit{Environment: environment, Commit: now[environment].String()})
	}
}
