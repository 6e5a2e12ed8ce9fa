package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// releaseWrites are what a first sync writes for one release: the peers write the same.
type releaseWrites struct {
	parent  *unstructured.Unstructured // the ModelRelease, its status included
	objects []*unstructured.Unstructured
}

var modelReleases = v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)

// resources are those of the objects a release has.
var resources = map[string]schema.GroupVersionResource{
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"ConfigMap":      {Version: "v1", Resource: "configmaps"},
	"Service":        {Version: "v1", Resource: "services"},
	"Deployment":     deployments,
}

// capture takes the ModelReleases from the cluster, and renders the objects as they were applied.
func (m *measure) capture(ctx context.Context) ([]releaseWrites, error) {
	list, err := m.dynamic.Resource(modelReleases).Namespace(generate.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	models, err := registry.Load(os.DirFS(m.repo.dir))
	if err != nil {
		return nil, err
	}
	writes := make([]releaseWrites, len(list.Items))
	for i := range list.Items {
		live := &list.Items[i]
		name, _, _ := unstructured.NestedString(live.Object, "spec", "release")
		image, _, _ := unstructured.NestedString(live.Object, "status", "applied", "image")
		release := models.Release(registry.Key{Environment: generate.Environment, Name: name})
		if release == nil {
			return nil, fmt.Errorf("ModelRelease %s belongs to no release", live.GetName())
		}
		out, err := render.Release(models.FS(), release, image)
		if err != nil {
			return nil, err
		}
		writes[i] = releaseWrites{parent(live), out.Objects}
		for _, o := range out.Objects {
			labels := o.GetLabels()
			labels["applyset.kubernetes.io/part-of"] = live.GetLabels()["applyset.kubernetes.io/id"]
			o.SetLabels(labels)
		}
	}
	return writes, nil
}

// parent is a ModelRelease without what the API server gave it.
func parent(live *unstructured.Unstructured) *unstructured.Unstructured {
	o := live.DeepCopy()
	o.Object["metadata"] = map[string]any{}
	o.SetName(live.GetName())
	o.SetNamespace(live.GetNamespace())
	o.SetLabels(live.GetLabels())
	o.SetAnnotations(live.GetAnnotations())
	return o
}

// writeAll makes the writes with a number of workers and returns how long they took.
func writeAll(ctx context.Context, client dynamic.Interface, writes []releaseWrites, workers int) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var work sync.WaitGroup
	began := time.Now()
	for range workers {
		work.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(writes) {
					return
				}
				if err := writes[i].write(ctx, client); err != nil {
					cancel(err)
				}
			}
		})
	}
	work.Wait()
	return time.Since(began), context.Cause(ctx)
}

func (w releaseWrites) write(ctx context.Context, client dynamic.Interface) error {
	parents := client.Resource(modelReleases).Namespace(generate.Namespace)
	made, err := parents.Create(ctx, w.parent, metav1.CreateOptions{FieldManager: "plain"})
	if err != nil {
		return err
	}
	force := true
	for _, o := range w.objects {
		body, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		options := metav1.PatchOptions{FieldManager: "plain", Force: &force, FieldValidation: metav1.FieldValidationStrict}
		resource := client.Resource(resources[o.GetKind()]).Namespace(generate.Namespace)
		if _, err := resource.Patch(ctx, o.GetName(), types.ApplyPatchType, body, options); err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	made.Object["status"] = w.parent.Object["status"]
	_, err = parents.UpdateStatus(ctx, made, metav1.UpdateOptions{FieldManager: "plain"})
	return err
}
