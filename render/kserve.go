package render

import (
	"cmp"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// predictor is the fields of an InferenceService, and the model. Kustomize has no schema for it and replaces its lists,
// so that they are written whole, below the Components. The model is a volume as in any pod: KServe's own way to
// read an OCI image runs a shell in it, and a model image has none.
func (o *overlay) predictor(r *registry.Release, modelImage string) object {
	format := r.Runtime.Spec.Formats[r.ModelVersion.Spec.Format]
	model := object{"modelFormat": object{"name": cmp.Or(format.KServe, r.ModelVersion.Spec.Format)}}
	if args := arguments(r); len(args) > 0 {
		model["args"] = append(slices.Clone(o.base.server.args), args...)
	}
	if env := over(o.base.server.env, variables(r)); len(env) > 0 {
		model["env"] = env
	}
	if resources := quantities(r.Serving.Resources, r.Accelerator, r.Serving.GPUs); len(resources) > 0 {
		model["resources"] = resources
	}
	base := o.base.server
	model["volumeMounts"] = append(slices.Clone(base.mounts), modelMount(r.Runtime))
	spec := object{"model": model, "volumes": append(slices.Clone(base.volumes), modelVolumes(r.Environment, modelImage)...)}
	if secrets := pullSecrets(r.Environment); secrets != nil {
		spec["imagePullSecrets"] = append(slices.Clone(base.pullSecrets), secrets...)
	}
	if !r.Environment.MountsImages() {
		spec["initContainers"] = append(slices.Clone(base.initContainers), loader(r.Environment, modelImage, mountPoint(r.Runtime)))
	}
	switch a := r.Serving.Autoscale; {
	case a != nil:
		spec["minReplicas"], spec["maxReplicas"], spec["scaleMetric"], spec["scaleTarget"] = a.Min, a.Max, a.Metric, a.Target
	case r.Serving.Replicas != nil:
		spec["minReplicas"], spec["maxReplicas"] = *r.Serving.Replicas, max(*r.Serving.Replicas, 1)
	}
	return object{"predictor": spec}
}

// over is a list of variables with others over it.
func over(base []any, vars map[string]registry.EnvVar) (out []any) {
	for _, e := range base {
		if o, ok := e.(object); ok {
			if name, _ := o["name"].(string); vars[name] != (registry.EnvVar{}) {
				continue
			}
		}
		out = append(out, e)
	}
	for _, name := range sortedKeys(vars) {
		v := vars[name]
		if v.Secret == "" {
			out = append(out, object{"name": name, "value": v.Value})
		} else {
			out = append(out, object{"name": name, "valueFrom": object{"secretKeyRef": object{"name": v.Secret, "key": v.Key}}})
		}
	}
	return out
}
