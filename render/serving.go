package render

import (
	"fmt"
	"slices"
	"time"

	"github.com/davit-dev/davit/registry"
)

const defaultStartupTimeout = 10 * time.Minute

type object = map[string]any

const inferenceService = "InferenceService"

// workloadPatch is a strategic merge patch on an object of the runtime's workload's kind.
func workloadPatch(r *registry.Release, name string, spec object) object {
	w := r.Runtime.Spec.Workload
	return object{"apiVersion": w.APIVersion, "kind": w.Kind, "metadata": object{"name": name}, "spec": spec}
}

// fields are the patches that carry the Serving's fields to the workload: as patches of people's own they would
// lose the base's values in silence.
func (o *overlay) fields(r *registry.Release, n names, modelImage string) ([]file, error) {
	name := r.Runtime.Spec.Workload.Name
	switch {
	case r.Runtime.Spec.Workload.Kind == inferenceService:
		return []file{{"fields.yaml", workloadPatch(r, name, o.predictor(r, modelImage))}}, nil
	case r.MultiNode():
		leader := object{"template": object{"spec": o.podFields(r, n, o.base.server, arguments(r))}}
		worker := object{"template": object{"spec": o.podFields(r, n, o.base.worker, nil)}}
		set, err := groupFields(r)
		return []file{
			{"fields.yaml", workloadPatch(r, name, leader)},
			{"worker.yaml", workloadPatch(r, r.Runtime.Spec.MultiNode.Worker, worker)},
			{"group.yaml", groupPatch(name, set)},
		}, err
	}
	spec := object{"template": object{"spec": o.podFields(r, n, o.base.server, arguments(r))}}
	if err := rollout(r, spec); err != nil {
		return nil, err
	}
	replicas(r, spec)
	return []file{{"fields.yaml", workloadPatch(r, name, spec)}}, nil
}

// replicas leaves the field to the autoscaler where there is one.
func replicas(r *registry.Release, spec object) {
	switch {
	case r.Serving.Autoscale != nil:
		spec["replicas"] = nil
	case r.Serving.Replicas != nil:
		spec["replicas"] = *r.Serving.Replicas
	}
}

// podFields patches a pod's spec.
func (o *overlay) podFields(r *registry.Release, n names, base *server, args []any) object {
	container := object{"name": r.Runtime.Spec.Container, "env": environment(r)}
	if len(args) > 0 {
		container["args"] = append(slices.Clone(base.args), args...)
	}
	if resources := quantities(r.Serving.Resources, r.Accelerator, r.Serving.GPUs); len(resources) > 0 {
		container["resources"] = resources
	}
	pod := object{"containers": []any{container}}
	claimed(r.Accelerator, r.Serving.GPUs, n, container, pod)
	if base.probe != nil {
		container["startupProbe"] = object{"failureThreshold": startupFailures(r, base.probe)}
	}
	return pod
}

// startupFailures is how often the startup probe may fail: once more than the startup timeout has room for, so that
// the container is there when davit gives its verdict.
func startupFailures(r *registry.Release, probe object) int64 {
	period := 10 * time.Second // Kubernetes' default
	switch p := probe["periodSeconds"].(type) {
	case int64:
		period = time.Duration(max(p, 1)) * time.Second
	case float64:
		period = time.Duration(max(p, 1)) * time.Second
	}
	timeout := r.Serving.Rollout.StartupTimeout.Or(defaultStartupTimeout)
	return int64((timeout+period-1)/period) + 1
}

// rollout writes how pods of one workload replace one another.
func rollout(r *registry.Release, spec object) error {
	if r.Runtime.Spec.Workload.Kind == "StatefulSet" {
		return nil
	}
	strategy, err := strategyOf(r.Serving.Rollout.Strategy)
	if err != nil {
		return fmt.Errorf("%s:1: %w", r.ServingPath, err)
	}
	spec["strategy"] = strategy
	// Later than davit's own verdict: Kubernetes must not give up first.
	spec["progressDeadlineSeconds"] = int64((r.Serving.Rollout.StartupTimeout.Or(defaultStartupTimeout) + time.Minute).Seconds())
	return nil
}

// strategyOf: in a full GPU cluster a surge pod finds no place, so the new pods take the old ones' by default.
// Where each revision has a workload of its own, this is how pods are replaced for other reasons.
func strategyOf(strategy string) (object, error) {
	rolling := func(surge, unavailable int) object {
		return object{"type": "RollingUpdate", "rollingUpdate": object{"maxSurge": surge, "maxUnavailable": unavailable}}
	}
	switch strategy {
	case "", registry.InPlace, registry.BlueGreen, registry.Canary:
		return rolling(0, 1), nil
	case registry.Surge:
		return rolling(1, 0), nil
	case registry.Recreate:
		return object{"type": "Recreate", "rollingUpdate": nil}, nil
	}
	return nil, fmt.Errorf("rollout strategy %q is not known; write inPlace, surge, recreate, blueGreen or canary", strategy)
}

// quantities asks for CPU without a limit (a throttled server is worse than a busy node), and for memory and
// GPUs with the limit that Kubernetes wants equal.
func quantities(resources registry.Resources, accelerator *registry.Accelerator, gpus int) object {
	requests, limits := object{}, object{}
	for name, quantity := range resources {
		requests[name] = quantity
		if name != "cpu" {
			limits[name] = quantity
		}
	}
	if accelerator != nil && gpus > 0 && accelerator.Spec.Resource != "" {
		requests[accelerator.Spec.Resource], limits[accelerator.Spec.Resource] = gpus, gpus
	}
	out := object{}
	if len(requests) > 0 {
		out["requests"] = requests
	}
	if len(limits) > 0 {
		out["limits"] = limits
	}
	return out
}
