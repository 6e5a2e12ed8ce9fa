package render

import (
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davit-dev/davit/registry"
)

// checkRelease refuses what could only be built wrong.
func checkRelease(r *registry.Release, modelImage string) error {
	w := r.Runtime.Spec.Workload
	switch {
	case !strings.Contains(modelImage, "@sha256:"):
		return fmt.Errorf("model image %q of %s has no digest", modelImage, r.Key())
	case !strings.Contains(r.Runtime.Spec.Image, "@sha256:"):
		return fmt.Errorf("%s:1: image %q has no digest; write name@sha256:…", r.Runtime.Path, r.Runtime.Spec.Image)
	case w.APIVersion != "apps/v1" || w.Kind != "Deployment" && w.Kind != "StatefulSet":
		return fmt.Errorf("%s:1: workload kind %s %s can't be served; write a Deployment or StatefulSet of apps/v1", r.Runtime.Path, w.APIVersion, w.Kind)
	case r.Serving.GPUs > 0 && r.Accelerator == nil:
		return fmt.Errorf("%s:1: gpus: %d without an accelerator; name one", r.ServingPath, r.Serving.GPUs)
	}
	return nil
}

// checkObjects refuses objects outside the release's namespace, and a workload that a Component took from
// davit: the last layer merges into what is there, and a volume with two sources is none.
func checkObjects(objects []*unstructured.Unstructured, r *registry.Release, modelImage string) error {
	for _, o := range objects {
		name := o.GetKind() + " " + o.GetName()
		meta := kyaml.TypeMeta{APIVersion: o.GetAPIVersion(), Kind: o.GetKind()}
		if clusterScoped(meta) {
			return fmt.Errorf("%s:1: %s is not namespaced; a release holds objects of its namespace only", r.Path, name)
		}
		if o.GetNamespace() != namespace(r) {
			return fmt.Errorf("%s:1: %s is in namespace %q; the environment's is %q", r.Path, name, o.GetNamespace(), namespace(r))
		}
	}
	workload := lookup(objects, r.Runtime.Spec.Workload.Kind, r.Name)
	if workload == nil {
		return fmt.Errorf("%s:1: a Component renamed or removed %s %q of the runtime; it can't", r.Path, r.Runtime.Spec.Workload.Kind, r.Runtime.Spec.Workload.Name)
	}
	volumes, _, _ := unstructured.NestedFieldNoCopy(workload.Object, "spec", "template", "spec", "volumes")
	if !reflect.DeepEqual(named(volumes, "model"), modelVolume(modelImage)) {
		return fmt.Errorf("%s:1: a Component changed the volume %q, which is the model's image; give its own another name", r.Path, "model")
	}
	mounts, _ := containerOf(workload, r.Runtime.Spec.Container)["volumeMounts"].([]any)
	for _, m := range mounts {
		m, _ := m.(object)
		at, _ := m["mountPath"].(string)
		if strings.HasPrefix(at+"/", mountPath+"/") && !reflect.DeepEqual(m, modelMount()) {
			return fmt.Errorf("%s:1: a Component mounts over %s, where the model is; mount it elsewhere", r.Path, mountPath)
		}
	}
	return nil
}
