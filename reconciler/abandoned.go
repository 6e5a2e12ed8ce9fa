package reconciler

import (
	"context"

	"github.com/davit-dev/davit/gitops"
)

// abandon remembers what was followed before a rewrite that was accepted. A cluster may tell of its releases only later: their
// claims are of that history, and no sign of another rewrite. Going back to an ancestor is told from one by nothing else.
func (r *Reconciler) abandon(commits []gitops.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = append(r.over, commits...)
}

// abandoned says whether a commit is of a history that was given up.
func (r *Reconciler) abandoned(ctx context.Context, commit gitops.Hash) (bool, error) {
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	for _, tip := range over {
		if !r.cfg.Source.Has(tip) {
			continue
		}
		if outside, err := r.cfg.Source.Outside(ctx, tip, commit); err != nil || len(outside) == 0 {
			return err == nil, err
		}
	}
	return false, nil
}
