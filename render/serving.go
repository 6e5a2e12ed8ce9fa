package render

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/davit-dev/davit/registry"
)

// mountPath is where the model image is mounted; its files are below models/ there, since a subPath of
// an image volume needs containerd 2.2.
const mountPath = "/mnt/model"

const defaultStartupTimeout = 10 * time.Minute

type object = map[string]any

// workloadPatch is a strategic merge patch on the runtime's workload.
func workloadPatch(r *registry.Release, name string, spec object) object {
	w := r.Runtime.Spec.Workload
	return object{"apiVersion": w.APIVersion, "kind": w.Kind, "metadata": object{"name": name}, "spec": spec}
}

// servingPatch carries the Serving's fields to the workload: as patches of people's own they would lose the
// base's values in silence.
func servingPatch(r *registry.Release) (object, error) {
	s, w := r.Serving, r.Runtime.Spec.Workload
	spec := object{}
	switch w.Kind {
	case "Deployment":
		strategy, err := strategyOf(s.Rollout.Strategy)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.ServingPath, err)
		}
		spec["strategy"] = strategy
		startup := s.Rollout.StartupTimeout.Or(defaultStartupTimeout)
		// Later than davit's own verdict: Kubernetes must not give up first.
		spec["progressDeadlineSeconds"] = int64((startup + time.Minute).Seconds())
	case "StatefulSet":
	default:
		return nil, fmt.Errorf("%s: workload kind %s can't be served; write Deployment or StatefulSet", r.Runtime.Path, w.Kind)
	}
	if s.Replicas != nil {
		spec["replicas"] = *s.Replicas
	}
	container := object{
		"name":         r.Runtime.Spec.Container,
		"env":          env(r),
		"volumeMounts": []any{object{"name": "model", "mountPath": mountPath, "readOnly": true}},
	}
	if args := arguments(r); len(args) > 0 {
		container["args"] = args
	}
	if resources := resourcesOf(r); len(resources) > 0 {
		container["resources"] = resources
	}
	spec["template"] = object{"spec": object{"containers": []any{container}}}
	return workloadPatch(r, w.Name, spec), nil
}

// strategyOf: in a full GPU cluster a surge pod finds no place, so the new pods take the old ones' by default.
func strategyOf(strategy string) (object, error) {
	rolling := func(surge, unavailable int) object {
		return object{"type": "RollingUpdate", "rollingUpdate": object{"maxSurge": surge, "maxUnavailable": unavailable}}
	}
	switch strategy {
	case "", "inPlace":
		return rolling(0, 1), nil
	case "surge":
		return rolling(1, 0), nil
	case "recreate":
		return object{"type": "Recreate", "rollingUpdate": nil}, nil
	}
	return nil, fmt.Errorf("rollout strategy %q is not known", strategy)
}

// arguments are the runtime's with the Serving's over them, ordered: `--key=value`, or `--key` for true.
func arguments(r *registry.Release) (args []string) {
	merged := maps.Clone(r.Runtime.Spec.Args)
	if merged == nil {
		merged = map[string]registry.Arg{}
	}
	maps.Copy(merged, r.Serving.Args)
	for _, key := range slices.Sorted(maps.Keys(merged)) {
		if merged[key].True {
			args = append(args, "--"+key)
		} else {
			args = append(args, "--"+key+"="+merged[key].Value)
		}
	}
	return args
}

func env(r *registry.Release) []any {
	modelPath := r.Runtime.Spec.ModelPath
	if modelPath == "" {
		modelPath = mountPath + "/models"
	}
	out := []any{object{"name": "DAVIT_MODEL_PATH", "value": modelPath}}
	for _, name := range slices.Sorted(maps.Keys(r.Serving.Env)) {
		e := r.Serving.Env[name]
		if e.Secret == "" {
			out = append(out, object{"name": name, "value": e.Value})
			continue
		}
		ref := object{"name": e.Secret, "key": e.Key}
		out = append(out, object{"name": name, "valueFrom": object{"secretKeyRef": ref}})
	}
	return out
}

// resourcesOf asks for CPU without a limit (a throttled server is worse than a busy node), and for memory and
// GPUs with the limit that Kubernetes wants equal.
func resourcesOf(r *registry.Release) object {
	requests, limits := object{}, object{}
	for name, quantity := range r.Serving.Resources {
		requests[name] = quantity
		if name != "cpu" {
			limits[name] = quantity
		}
	}
	if r.Accelerator != nil && r.Serving.GPUs > 0 {
		requests[r.Accelerator.Spec.Resource], limits[r.Accelerator.Spec.Resource] = r.Serving.GPUs, r.Serving.GPUs
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

// identity is the last patch on the workload: what the pods are labelled with and which images they run, by
// digest.
func identity(r *registry.Release, modelImage string) object {
	template := object{
		"metadata": object{"labels": podLabels(r)},
		"spec": object{
			"containers": []any{object{"name": r.Runtime.Spec.Container, "image": r.Runtime.Spec.Image}},
			"volumes":    []any{object{"name": "model", "image": object{"reference": modelImage, "pullPolicy": "IfNotPresent"}}},
		},
	}
	return workloadPatch(r, r.Name+"-"+r.Runtime.Spec.Workload.Name, object{"template": template})
}
