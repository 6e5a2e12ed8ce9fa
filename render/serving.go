package render

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// mountPath is where the model image is mounted; its files are below models/ there, since a subPath of
// an image volume needs containerd 2.2.
const mountPath = "/mnt/model"

// modelPathVariable tells the server where the model's files are.
const modelPathVariable = "DAVIT_MODEL_PATH"

const defaultStartupTimeout = 10 * time.Minute

type object = map[string]any

// workloadPatch is a strategic merge patch on the runtime's workload.
func workloadPatch(r *registry.Release, name string, spec object) object {
	w := r.Runtime.Spec.Workload
	return object{"apiVersion": w.APIVersion, "kind": w.Kind, "metadata": object{"name": name}, "spec": spec}
}

// baseArgs are the arguments that the server's container has below the Serving's fields.
func baseArgs(objects []*unstructured.Unstructured, r *registry.Release) ([]any, error) {
	spec := r.Runtime.Spec
	workload := lookup(objects, spec.Workload.Kind, spec.Workload.Name)
	if workload == nil {
		return nil, fmt.Errorf("%s:1: the base has no %s %q; name its workload", r.Runtime.Path, spec.Workload.Kind, spec.Workload.Name)
	}
	if spec.Service != "" && lookup(objects, "Service", spec.Service) == nil {
		return nil, fmt.Errorf("%s:1: the base has no Service %q; name its Service, or none", r.Runtime.Path, spec.Service)
	}
	container := containerOf(workload, spec.Container)
	if container == nil {
		return nil, fmt.Errorf("%s:1: %s %q has no container %q; name the server's", r.Runtime.Path, spec.Workload.Kind, spec.Workload.Name, spec.Container)
	}
	args, _ := container["args"].([]any)
	return args, nil
}

func containerOf(workload *unstructured.Unstructured, name string) object {
	containers, _, _ := unstructured.NestedFieldNoCopy(workload.Object, "spec", "template", "spec", "containers")
	return named(containers, name)
}

// named is the entry of a list of objects with that name, or nil.
func named(list any, name string) object {
	entries, _ := list.([]any)
	for _, e := range entries {
		if o, ok := e.(object); ok && o["name"] == name {
			return o
		}
	}
	return nil
}

// servingPatch carries the Serving's fields to the workload: as patches of people's own they would lose the
// base's values in silence.
func servingPatch(r *registry.Release, base []any) (object, error) {
	s, spec := r.Serving, object{}
	if err := rollout(r, spec); err != nil {
		return nil, err
	}
	if s.Replicas != nil {
		spec["replicas"] = *s.Replicas
	}
	container := object{"name": r.Runtime.Spec.Container, "env": env(r)}
	if args := arguments(r); len(args) > 0 {
		container["args"] = append(slices.Clone(base), args...)
	}
	if resources := resourcesOf(r); len(resources) > 0 {
		container["resources"] = resources
	}
	spec["template"] = object{"spec": object{"containers": []any{container}}}
	return workloadPatch(r, r.Runtime.Spec.Workload.Name, spec), nil
}

// rollout writes how a new revision replaces the old one.
func rollout(r *registry.Release, spec object) error {
	want := r.Serving.Rollout
	if r.Runtime.Spec.Workload.Kind == "StatefulSet" {
		if want.Strategy != "" && want.Strategy != "inPlace" {
			return fmt.Errorf("%s:1: rollout strategy %q needs a Deployment; a StatefulSet replaces its pods in place", r.ServingPath, want.Strategy)
		}
		return nil
	}
	strategy, err := strategyOf(want.Strategy)
	if err != nil {
		return fmt.Errorf("%s:1: %w", r.ServingPath, err)
	}
	spec["strategy"] = strategy
	// Later than davit's own verdict: Kubernetes must not give up first.
	spec["progressDeadlineSeconds"] = int64((want.StartupTimeout.Or(defaultStartupTimeout) + time.Minute).Seconds())
	return nil
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
	return nil, fmt.Errorf("rollout strategy %q is not known; write inPlace, surge or recreate", strategy)
}

// arguments are the runtime's with the Serving's over them, ordered: `--key=value`, or `--key` for true.
func arguments(r *registry.Release) (args []any) {
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

// env takes the other source away from a variable that the base has too: it may have one only.
func env(r *registry.Release) []any {
	modelPath := r.Runtime.Spec.ModelPath
	if modelPath == "" {
		modelPath = mountPath + "/models"
	}
	out := []any{object{"name": modelPathVariable, "value": modelPath, "valueFrom": nil}}
	for _, name := range slices.Sorted(maps.Keys(r.Serving.Env)) {
		e := r.Serving.Env[name]
		if name == modelPathVariable {
			continue
		}
		if e.Secret == "" {
			out = append(out, object{"name": name, "value": e.Value, "valueFrom": nil})
			continue
		}
		ref := object{"name": e.Secret, "key": e.Key}
		out = append(out, object{"name": name, "value": nil, "valueFrom": object{
			"secretKeyRef": ref, "configMapKeyRef": nil, "fieldRef": nil, "resourceFieldRef": nil,
		}})
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

// identity is the last patch on the workload: what the pods are labelled with, and which images they run and
// mount, by digest.
func identity(r *registry.Release, modelImage string) object {
	podLabels := objectLabels(r)
	podLabels[versionLabel] = r.ModelVersion.Name
	template := object{
		"metadata": object{"labels": podLabels},
		"spec": object{
			"containers": []any{object{
				"name":         r.Runtime.Spec.Container,
				"image":        r.Runtime.Spec.Image,
				"volumeMounts": []any{modelMount()},
			}},
			"volumes": []any{modelVolume(modelImage)},
		},
	}
	workload := workloadPatch(r, prefixed(r, r.Runtime.Spec.Workload.Name), object{"template": template})
	workload["metadata"].(object)["labels"] = object{versionLabel: r.ModelVersion.Name}
	return workload
}

func modelMount() object {
	return object{"name": "model", "mountPath": mountPath, "readOnly": true}
}

func modelVolume(image string) object {
	return object{"name": "model", "image": object{"reference": image, "pullPolicy": "IfNotPresent"}}
}
