package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davit-dev/davit/registry"
)

// checkRelease refuses what could only be built wrong.
func checkRelease(r *registry.Release, modelImage string) error {
	switch spec := r.Runtime.Spec; {
	case !strings.Contains(modelImage, "@sha256:"):
		return fmt.Errorf("model image %q of %s has no digest", modelImage, r.Key())
	case !strings.Contains(spec.Image, "@sha256:") && spec.Workload.Kind != inferenceService:
		return fmt.Errorf("%s:1: image %q has no digest; write name@sha256:…", r.Runtime.Path, spec.Image)
	case r.Serving.GPUs > 0 && r.Accelerator == nil:
		return fmt.Errorf("%s:1: gpus: %d without an accelerator; name one", r.ServingPath, r.Serving.GPUs)
	}
	return nil
}

// check refuses objects outside the release's namespace, and a workload that a Component took from davit: the last
// layer merges into what is there, and a volume with two sources is none.
func (o *overlay) check(objects []*unstructured.Unstructured) error {
	r := o.release
	if err := checkScope(objects, r.Path, namespace(r)); err != nil {
		return err
	}
	if err := checkNames(objects, r); err != nil {
		return err
	}
	workload := workloadOf(objects, r, o.names())
	if workload == nil {
		return fmt.Errorf("%s:1: a Component renamed or removed %s %q of the runtime; it can't", r.Path, r.Runtime.Spec.Workload.Kind, r.Runtime.Spec.Workload.Name)
	}
	volumes, mount := modelVolumes(r.Environment, o.modelImage), modelMount(r.Runtime)
	if workload.GetKind() == inferenceService {
		pod, model := fieldOf(workload, "spec", "predictor"), containerOf(workload, "")
		k := keptOf(r, o.base.server, arguments(r))
		k.variables = slices.Sorted(maps.Keys(variables(r))) // it has none of davit's own
		return errors.Join(checkModel(pod, model, mount, volumes, r.Path), k.check(pod, model))
	}
	below := []kept{keptOf(r, o.base.server, arguments(r))}
	if r.MultiNode() {
		below = append(below, keptOf(r, o.base.worker, nil))
	}
	for i, at := range templates(workload) {
		pod := fieldOf(workload, append(slices.Clone(at), "spec")...)
		container := named(pod["containers"], r.Runtime.Spec.Container)
		if err := errors.Join(checkModel(pod, container, mount, volumes, r.Path), below[i].check(pod, container)); err != nil {
			return err
		}
	}
	return nil
}

// checkNames refuses what a controller could not make anything of: a Service's name is a DNS label, and a group's is in
// labels of its pods, behind it their number and a hash.
func checkNames(objects []*unstructured.Unstructured, r *registry.Release) error {
	longest := map[string]int{"Service": 63, group.Kind: 63 - len("-00-0123456789")}
	for _, o := range objects {
		if most, ok := longest[o.GetKind()]; ok && len(o.GetName()) > most {
			return fmt.Errorf("%s:1: the name of %s %s has %d characters, and at most %d can be; shorten the release's name, or the object's",
				r.Path, o.GetKind(), o.GetName(), len(o.GetName()), most)
		}
	}
	return nil
}

// checkScope refuses objects outside a namespace, and those that no API server could read in time. file is whose fault it is.
func checkScope(objects []*unstructured.Unstructured, file, namespace string) error {
	for _, o := range objects {
		name := o.GetKind() + " " + o.GetName()
		if clusterScoped(kyaml.TypeMeta{APIVersion: o.GetAPIVersion(), Kind: o.GetKind()}) {
			return fmt.Errorf("%s:1: %s is not namespaced; a release holds objects of its namespace only", file, name)
		}
		if o.GroupVersionKind().Group == "davit.dev" {
			return fmt.Errorf("%s:1: %s is davit's own, and no object of a release", file, name)
		}
		if o.GetNamespace() != namespace {
			return fmt.Errorf("%s:1: %s is in namespace %q; the environment's is %q", file, name, o.GetNamespace(), namespace)
		}
		if err := checkQuantities(o, file); err != nil {
			return err
		}
	}
	return nil
}

// checkModel refuses a pod whose container does not see the model as davit brings it there.
func checkModel(pod, container, mount object, volumes []any, file string) error {
	for _, want := range volumes {
		name := want.(object)["name"].(string)
		if !reflect.DeepEqual(named(pod["volumes"], name), want) {
			return fmt.Errorf("%s:1: a Component changed the volume %q, which is the model's image; give its own another name", file, name)
		}
	}
	there, above := false, mount["mountPath"].(string)
	mounts, _ := container["volumeMounts"].([]any)
	for _, m := range mounts {
		m, _ := m.(object)
		at, _ := m["mountPath"].(string)
		if reflect.DeepEqual(m, mount) {
			there = true
		} else if at == above || below(at, path.Join(above, "models")) || above == mountPath && below(at, above) {
			return fmt.Errorf("%s:1: a Component mounts over %s, where the model is; mount it elsewhere", file, above)
		}
	}
	if !there {
		return fmt.Errorf("%s:1: a Component took the model's mount at %s away; it can't", file, above)
	}
	return nil
}

// below says whether a path is another or lies in it.
func below(name, dir string) bool { return strings.HasPrefix(name+"/", dir+"/") }

// fieldOf is an object's mapping at a path, not copied; nil for nothing.
func fieldOf(o *unstructured.Unstructured, at ...string) object {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, at...)
	field, _ := v.(object)
	return field
}
