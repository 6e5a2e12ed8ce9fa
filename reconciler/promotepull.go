package reconciler

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/registry"
)

// pullRequest reads the one of a promotion. One that is gone is closed, but only where the forge shows this token the others:
// to one without rights GitHub says that nothing is there.
func (r *Reconciler) pullRequest(ctx context.Context, key registry.Key, number int) (forge.PullRequest, error) {
	pr, err := r.cfg.Forge.Find(ctx, number)
	if refused, ok := errors.AsType[*forge.Error](err); ok && refused.Status == http.StatusNotFound {
		pr = forge.PullRequest{Closed: true}
		if _, err = r.cfg.Forge.Open(ctx, PromotionBranch(key)); err != nil {
			return pr, err
		}
	}
	return pr, err
}

// unmerged says whether a branch, whose pull request was merged in whatever way, has something that the branch it went to
// has not: somebody may have gone on with it.
func (r *Reconciler) unmerged(ctx context.Context, tip gitops.Hash) (bool, error) {
	followed, err := r.cfg.Source.Base(ctx)
	if err != nil || tip.IsZero() {
		return false, err
	}
	base, err := r.cfg.Source.MergeBase(ctx, followed, tip)
	if err != nil {
		return true, err
	}
	changed, err := r.cfg.Source.Differ(ctx, base, tip)
	if err != nil {
		return true, err
	}
	missing, err := r.cfg.Source.Differ(ctx, followed, tip)
	return slices.ContainsFunc(changed, func(p string) bool { return slices.Contains(missing, p) }), err
}
