package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// InstallManager is the field manager of davit's own installation.
const InstallManager = "davit-install"

var kindCRD = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// Setup brings the objects of an installation into the cluster by server-side apply, one after the other, and waits for
// each CRD to be served. Fields that others own are taken; tell learns whose they were. It may be called again, and
// changes what differs. With dry nothing is written, and the API server says what would be. Errors name the object.
func (c *Cluster) Setup(ctx context.Context, objects []*unstructured.Unstructured, dry bool, tell func(namespace string, change Change)) error {
	for _, o := range objects {
		ref := objectRef(o)
		client, err := c.objectClient(o)
		if err == nil {
			err = c.setUp(ctx, client, o, dry, tell)
		}
		if err != nil {
			return fmt.Errorf("installing %s: %w", ref, err)
		}
	}
	return nil
}

func objectRef(o *unstructured.Unstructured) v1alpha1.ObjectRef {
	gvk := o.GroupVersionKind()
	return v1alpha1.ObjectRef{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: o.GetName()}
}

func (c *Cluster) objectClient(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	m, err := c.mapping(o.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return c.dynamic.Resource(m.Resource).Namespace(o.GetNamespace()), nil // empty for what is cluster-wide
}

func (c *Cluster) setUp(ctx context.Context, client dynamic.ResourceInterface, o *unstructured.Unstructured, dry bool, tell func(namespace string, change Change)) error {
	before, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	change := Change{Ref: objectRef(o), Action: Configured}
	if absent := err != nil; absent {
		change.Action = Created
		if dry { // its namespace may be absent, too, and then a dry run is refused
			tell(o.GetNamespace(), change)
			return nil
		}
		before = nil
	}
	after, from, err := installed(ctx, client, o, dry)
	if err != nil {
		return err
	}
	if change.From = from; before != nil && sameContent(before, after) {
		change.Action = Unchanged
	}
	if o.GroupVersionKind().GroupKind() == kindCRD && !dry {
		err = served(ctx, client, o.GetName())
	}
	tell(o.GetNamespace(), change)
	return err
}

// installed applies o, by force if there is no other way.
func installed(ctx context.Context, client dynamic.ResourceInterface, o *unstructured.Unstructured, dry bool) (after *unstructured.Unstructured, from []string, err error) {
	body, err := json.Marshal(o.Object)
	if err != nil {
		return nil, nil, err
	}
	force := false
	opts := metav1.PatchOptions{FieldManager: InstallManager, Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if dry {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	after, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, body, opts)
	if others, _, is := contested(err); is {
		from, force = others, true
		after, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, body, opts)
	}
	return after, from, err
}

// sameContent compares what an apply may change.
func sameContent(a, b *unstructured.Unstructured) bool {
	strip := func(o *unstructured.Unstructured) map[string]any {
		o = o.DeepCopy()
		o.SetManagedFields(nil)
		o.SetResourceVersion("")
		o.SetGeneration(0)
		unstructured.RemoveNestedField(o.Object, "status")
		return o.Object
	}
	return equality.Semantic.DeepEqual(strip(a), strip(b))
}

// served waits until the API server serves a CRD.
func served(ctx context.Context, client dynamic.ResourceInterface, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		live, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return established(live), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for it to be established: %w", err)
	}
	return nil
}
