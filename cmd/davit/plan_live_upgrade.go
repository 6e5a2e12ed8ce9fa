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
		if mr == nil || mr.Status.Applied.Version != r.ModelVersion.Name || mr.Status.Held != nil || mr.Spec.Pin != nil ||
			slices.ContainsFunc(p.Releases, func(c plan.Release) bool { return c.Key() == r.Key() }) {
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

// placeOf is where a release's ModelRelease is, "namespace/name".
func placeOf(r *registry.Release) string {
	return r.Environment.Spec.Namespace + "/" + v1alpha1.Name(r.Environment.Name, r.Name)
}
