package render

import (
	"github.com/davit-dev/davit/registry"
)

// group is the kind whose pods serve together on several nodes. Kustomize has no schema for it, so that its pod
// templates are Deployments until the last layer: Components bend those as any others.
var group = registry.ObjectRef{APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet"}

// groupPatch holds mappings only: those merge without a schema.
func groupPatch(name string, spec object) object {
	return object{"apiVersion": group.APIVersion, "kind": group.Kind, "metadata": object{"name": name}, "spec": spec}
}

func groupFields(r *registry.Release) (object, error) {
	configuration := object{"maxSurge": 0, "maxUnavailable": 1}
	switch r.Serving.Rollout.Strategy {
	case registry.Surge:
		configuration = object{"maxSurge": 1, "maxUnavailable": 0}
	case registry.Recreate:
		configuration = object{"maxSurge": 0, "maxUnavailable": "100%"}
	default:
		if _, err := strategyOf(r.Serving.Rollout.Strategy); err != nil {
			return nil, err
		}
	}
	spec := object{
		"leaderWorkerTemplate": object{"size": r.Serving.Nodes},
		"rolloutStrategy":      object{"type": "RollingUpdate", "rollingUpdateConfiguration": configuration},
	}
	replicas(r, spec)
	return spec, nil
}

// join makes the pod templates of the two Deployments the group's, in one kustomization, and removes the
// Deployments in the one above it, which it returns: Kustomize patches before it replaces.
func join(g generated, r *registry.Release, n names) kustomization {
	spec := r.Runtime.Spec
	from := func(name, field string) replacement {
		return copied(object{"kind": spec.Workload.Kind, "name": n.of(name)}, "spec.template",
			object{"kind": group.Kind, "name": n.workload()}, "spec.leaderWorkerTemplate."+field)
	}
	g["layers/joined/kustomization.yaml"] = kustomization{
		Resources:      []string{"../whole"},
		Configurations: []string{"names.yaml"},
		Replacements:   []replacement{from(spec.Workload.Name, "leaderTemplate"), from(spec.MultiNode.Worker, "workerTemplate")},
	}.generated()
	g["layers/joined/names.yaml"] = podReferences(group.Kind, "spec/leaderWorkerTemplate/leaderTemplate/spec/", "spec/leaderWorkerTemplate/workerTemplate/spec/")
	top := kustomization{Resources: []string{"layers/joined"}}
	for _, name := range []string{spec.Workload.Name, spec.MultiNode.Worker} {
		remove := object{"apiVersion": spec.Workload.APIVersion, "kind": spec.Workload.Kind, "metadata": object{"name": n.of(name)}, "$patch": "delete"}
		top.Patches = append(top.Patches, patch{Patch: text(remove), Target: exactly(spec.Workload.Kind, n.of(name))})
	}
	return top
}
