package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

// TearDown deletes objects of an installation, the last first, and waits until each is gone. One that
// is not there is passed over, and so are Namespaces: they hold what is other people's. With dry it only tells.
func (c *Cluster) TearDown(ctx context.Context, objects []*unstructured.Unstructured, dry bool, tell func(namespace string, change Change)) error {
	for i := len(objects) - 1; i >= 0; i-- {
		o := objects[i]
		if o.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Namespace"}) {
			continue
		}
		deleted, err := c.tearDown(ctx, o, dry)
		if err != nil {
			return fmt.Errorf("deleting %s: %w", objectRef(o), err)
		}
		if deleted {
			tell(o.GetNamespace(), Change{Ref: objectRef(o), Action: Deleted})
		}
	}
	return nil
}

func (c *Cluster) tearDown(ctx context.Context, o *unstructured.Unstructured, dry bool) (deleted bool, err error) {
	client, err := c.objectClient(o)
	if meta.IsNoMatchError(err) {
		return false, nil // its CRD is gone, and it with that
	}
	if err != nil {
		return false, err
	}
	live, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil || dry {
		return err == nil, err
	}
	uid, foreground := live.GetUID(), metav1.DeletePropagationForeground
	err = client.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, err
	}
	return true, goneAway(ctx, client, live)
}

// goneTime is how long a deletion may take: the controller's pods get a minute to end in.
const goneTime = 90 * time.Second

// goneAway waits until an object that was deleted is no more, and says what keeps it.
func goneAway(ctx context.Context, client dynamic.ResourceInterface, o *unstructured.Unstructured) error {
	last := o
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, goneTime, true, func(ctx context.Context) (bool, error) {
		live, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, err
		case live.GetUID() != o.GetUID():
			return true, nil
		}
		last = live
		return false, nil
	})
	if err != nil && wait.Interrupted(err) {
		return fmt.Errorf("it is still there, kept by finalizers %v", last.GetFinalizers())
	}
	return err
}
