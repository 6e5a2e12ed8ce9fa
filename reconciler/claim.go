package reconciler

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

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
		Commit: t.commit.String(), Version: t.release.ModelVersion.Name,
		Kinds: append(s.leftKinds(), kinds...),
	}
	if t.shown {
		order.Version = "" // it is not under way
	}
	if s.release != nil && s.release.Namespace == namespace {
		if err := r.overtake(ctx, s, t); err != nil {
			return err
		}
		order.Observed = s.release
	}
	claimed, err := site.cluster.Claim(ctx, order)
	if errors.Is(err, cluster.ErrConflict) && order.Observed != nil {
		fresh, readErr := site.cluster.Release(ctx, namespace, s.key.Environment, s.key.Name)
		switch {
		case readErr != nil:
		case fresh == nil:
			s.deleted()
		default:
			s.release = fresh
		}
		return errors.Join(err, readErr)
	}
	if err != nil {
		return err
	}
	s.adopt(claimed)
	if st := &s.release.Status; st.Applied.Commit == "" {
		st.Model = t.release.Model.Name
	}
	return r.inherit(ctx, s)
}

// overtake writes what came of the revision before, if it never settled: after the claim on the next one nothing tells of it.
func (r *Reconciler) overtake(ctx context.Context, s *state, t *target) error {
	of := s.overtaken(t)
	if of.Commit == "" {
		return nil
	}
	s.outcome(s.came(v1alpha1.Superseded, of))
	return r.write(ctx, s)
}

// notOlder refuses to apply anything of a history that does not have the recorded commit: the branch may be rewritten,
// or a mirror behind. A rollback, a pin, and a rewritten branch that is accepted, may go back.
func (r *Reconciler) notOlder(ctx context.Context, s *state, t *target) error {
	if s.release == nil || t.rollback || t.pin != nil || s.stray.Load() || s.release.Spec.Claim.Commit == "" {
		return nil
	}
	tip, recorded := r.wanted(s.key.Environment).snapshot.Hash(), gitops.ParseHash(claimedFor(s.release))
	within, err := r.inHistory(ctx, claimed{s.key.Environment, recorded}, tip)
	if err != nil {
		return fmt.Errorf("comparing with the recorded commit of %s: %w", s.key, err)
	}
	if within {
		return nil
	}
	if ok, err := r.accepted(ctx, recorded, tip); ok || err != nil {
		return err
	}
	if ok, err := r.abandoned(ctx, recorded); ok || err != nil {
		return err
	}
	return r.rewritten(recorded, tip)
}
