package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// renderedOtherwise dry-runs the releases that the plan leaves alone and this davit renders otherwise than the one that
// applied them: what an upgrade of the controller to this davit changes, or a commit that is not applied yet.
func renderedOtherwise(ctx context.Context, target *cluster.Cluster, renderer *render.Renderer, after *registry.Registry, p *plan.Plan, applied map[string]*v1alpha1.ModelRelease) ([]liveRelease, error) {
	var out []liveRelease
	for _, r := range after.Releases {
		mr := applied[placeOf(r)]
		if mr == nil || mr.Status.Applied.Version != r.ModelVersion.Name || mr.Status.Held != nil || mr.Spec.Pin != nil || planned(p, r) {
			continue
		}
		r := r.WithPullSecrets(mr.Status.PullSecrets)
		key, err := reconciler.InputKey(r, after.FS())
		if err != nil {
			return nil, fmt.Errorf("hashing the inputs of %s: %w", r.Key(), err)
		}
		if key == mr.Status.Applied.InputKey {
			continue
		}
		rendered, err := renderer.Release(after.FS(), r, mr.Status.Applied.Image)
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", r.Key(), err)
		}
		if rendered.Hash == mr.Status.Applied.ObjectsHash {
			continue
		}
		found, err := dryRun(ctx, target, renderer, after, r, mr, nil)
		if err != nil {
			return nil, err
		}
		found.Cause = "the branch does not change it: this davit renders it otherwise, or a commit is not applied yet"
		out = append(out, found)
	}
	return out, nil
}

// notApplied dry-runs the releases that the plan leaves alone and nothing of which was ever applied in that cluster: the
// first look of who comes from another tool, whose objects may be there.
func notApplied(ctx context.Context, target *cluster.Cluster, renderer *render.Renderer, after *registry.Registry, p *plan.Plan, known map[string]*v1alpha1.ModelRelease, match func(registry.Key) bool) ([]liveRelease, error) {
	var out []liveRelease
	for _, r := range after.Releases {
		mr := known[placeOf(r)]
		if !match(r.Key()) || planned(p, r) || mr != nil && mr.Status.Applied.Version != "" {
			continue
		}
		if mr == nil {
			mr = newcomer(r)
		}
		found, err := dryRun(ctx, target, renderer, after, r, mr, nil)
		if err != nil {
			return nil, err
		}
		found.Cause = "the branch does not change it: it is not applied here yet"
		out = append(out, found)
	}
	return out, nil
}

// planned says whether the plan tells of the release.
func planned(p *plan.Plan, r *registry.Release) bool {
	return slices.ContainsFunc(p.Releases, func(c plan.Release) bool { return c.Key() == r.Key() })
}

// newcomer stands for the ModelRelease that is still to be made.
func newcomer(r *registry.Release) *v1alpha1.ModelRelease {
	mr := &v1alpha1.ModelRelease{}
	mr.Namespace, mr.Name = r.Environment.Spec.Namespace, v1alpha1.Name(r.Environment.Name, r.Name)
	return mr
}

// placeOf is where a release's ModelRelease is, "namespace/name".
func placeOf(r *registry.Release) string {
	return r.Environment.Spec.Namespace + "/" + v1alpha1.Name(r.Environment.Name, r.Name)
}
