package render

import (
	"fmt"
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
	workload := workloadOf(objects, r, o.names())
	if workload == nil {
		return fmt.Errorf("%s:1: a Component renamed or removed %s %q of the runtime; it can't", r.Path, r.Runtime.Spec.Workload.Kind, r.Runtime.Spec.Workload.Name)
	}
	if workload.GetKind() == inferenceService {
		if uri := containerOf(workload, "")["storageUri"]; uri != "oci://"+o.modelImage {
			return fmt.Errorf("%s:1: a Component changed storageUri, which is the model's image; it can't", r.Path)
		}
		return nil
	}
	for _, at := range templates(workload) {
		pod, _, _ := unstructured.NestedFieldNoCopy(workload.Object, append(slices.Clone(at), "spec")...)
		if err := checkModel(pod, r.Runtime.Spec.Container, r.Path, modelVolumes(r.Environment, o.modelImage)); err != nil {
			return err
		}
	}
	return nil
}

// checkScope refuses objects outside a namespace. file is whose fault it is.
func checkScope(objects []*unstructured.Unstructured, file, namespace string) error {
	for _, o := range objects {
		name := o.GetKind() + " " + o.GetName()
		if clusterScoped(kyaml.TypeMeta{APIVersion: o.GetAPIVersion(), Kind: o.GetKind()}) {
			return fmt.Errorf("%s:1: %s is not namespaced; a release holds objects of its namespace only", file, name)
		}
		if o.GetNamespace() != namespace {
			return fmt.Errorf("%s:1: %s is in namespace %q; the environment's is %q", file, name, o.GetNamespace(), namespace)
		}
	}
	return nil
}

// checkModel refuses a pod whose container does not see the model as davit brings it there.
func checkModel(spec any, container, file string, volumes []any) error {
	pod, _ := spec.(object)
	for _, want := range volumes {
		name := want.(object)["name"].(string)
		if !reflect.DeepEqual(named(pod["volumes"], name), want) {
			return fmt.Errorf("%s:1: a Component changed the volume %q, which is the model's image; give its own another name", file, name)
		}
	}
	mounts, _ := named(pod["containers"], container)["volumeMounts"].([]any)
	for _, m := range mounts {
		m, _ := m.(object)
		at, _ := m["mountPath"].(string)
		if strings.HasPrefix(at+"/", mountPath+"/") && !reflect.DeepEqual(m, modelMount()) {
			return fmt.Errorf("%s:1: a Component mounts over %s, where the model is; mount it elsewhere", file, mountPath)
		}
	}
	return nil
}
