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
	r, n := o.release, o.names()
	for _, made := range objects {
		if err := checkObject(made, r); err != nil {
			return err
		}
	}
	workload := workloadOf(objects, r, n)
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
		if err := o.checkPod(pod); err != nil {
			return err
		}
	}
	return nil
}

func checkObject(o *unstructured.Unstructured, r *registry.Release) error {
	name := o.GetKind() + " " + o.GetName()
	if clusterScoped(kyaml.TypeMeta{APIVersion: o.GetAPIVersion(), Kind: o.GetKind()}) {
		return fmt.Errorf("%s:1: %s is not namespaced; a release holds objects of its namespace only", r.Path, name)
	}
	if o.GetNamespace() != namespace(r) {
		return fmt.Errorf("%s:1: %s is in namespace %q; the environment's is %q", r.Path, name, o.GetNamespace(), namespace(r))
	}
	return nil
}

func (o *overlay) checkPod(spec any) error {
	r := o.release
	pod, _ := spec.(object)
	for _, want := range modelVolumes(r, o.modelImage) {
		name := want.(object)["name"].(string)
		if !reflect.DeepEqual(named(pod["volumes"], name), want) {
			return fmt.Errorf("%s:1: a Component changed the volume %q, which is the model's image; give its own another name", r.Path, name)
		}
	}
	mounts, _ := named(pod["containers"], r.Runtime.Spec.Container)["volumeMounts"].([]any)
	for _, m := range mounts {
		m, _ := m.(object)
		at, _ := m["mountPath"].(string)
		if strings.HasPrefix(at+"/", mountPath+"/") && !reflect.DeepEqual(m, modelMount()) {
			return fmt.Errorf("%s:1: a Component mounts over %s, where the model is; mount it elsewhere", r.Path, mountPath)
		}
	}
	return nil
}
