package reconciler

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// rewrittenError says that a commit older than the recorded one was about to be applied: the branch was
// rewritten, or this controller is behind another one.
type rewrittenError struct{ older, recorded string }

func (e *rewrittenError) Error() string {
	if e.older == "" {
		return fmt.Sprintf("commit %.12s, which was applied last, is not in this repository; fetch it, or accept a rewritten branch with davit sync --accept-rewrite", e.recorded)
	}
	return fmt.Sprintf("commit %.12s is older than %.12s, which was applied last; go back with git revert, or accept a rewritten branch with davit sync --accept-rewrite", e.older, e.recorded)
}

// claim makes sure of the namespace and takes the release for the target, by compare-and-swap on what was
// known of it. When that was not the newest, the release is read again and the claim fails, to be tried anew.
func (r *Reconciler) claim(ctx context.Context, s *state, t *target, kinds []schema.GroupKind) error {
	if err := r.notOlder(ctx, s, t); err != nil {
		return err
	}
	site, namespace := r.site(s.key.Environment), t.release.Environment.Spec.Namespace
	if err := site.cluster.EnsureNamespace(ctx, namespace); err != nil {
		return fmt.Errorf("namespace of %s: %w", s.key, err)
	}
	order := cluster.Target{
		Namespace: namespace, Environment: t.release.Environment.Name, Release: t.release.Name,
		Commit: t.commit.String(), Version: t.release.ModelVersion.Name, Kinds: kinds,
	}
	if s.release != nil && s.release.Namespace == namespace {
		order.Observed = s.release
	}
	claimed, err := site.cluster.Claim(ctx, order)
	if errors.Is(err, cluster.ErrConflict) && order.Observed != nil {
		fresh, readErr := site.cluster.Release(ctx, namespace, s.key.Environment, s.key.Name)
		if readErr == nil {
			s.release = fresh
		}
		return errors.Join(err, readErr)
	}
	if err != nil {
		return err
	}
	s.adopt(claimed)
	return nil
}

// notOlder refuses an ancestor of the recorded commit, and any where that one is not known here: a mirror
// may be behind. A rollback, and a rewritten branch that is accepted, may go back.
func (r *Reconciler) notOlder(ctx context.Context, s *state, t *target) error {
	if s.release == nil || t.rollback || r.cfg.AcceptRewrite || s.release.Spec.Claim.Commit == "" {
		return nil
	}
	recorded, err := r.cfg.Source.Resolve(ctx, s.release.Spec.Claim.Commit)
	if err != nil {
		return &rewrittenError{recorded: s.release.Spec.Claim.Commit}
	}
	if recorded == t.commit {
		return nil
	}
	older, err := r.cfg.Source.IsAncestor(ctx, t.commit, recorded)
	if err != nil {
		return fmt.Errorf("comparing with the recorded commit of %s: %w", s.key, err)
	}
	if older {
		return &rewrittenError{t.commit.String(), recorded.String()}
	}
	return nil
}
