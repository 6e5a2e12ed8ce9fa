package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// UninstalledError says that davit is being uninstalled: what is deleted on the way says nothing of what people want.
type UninstalledError struct {
	What string
}

func (e *UninstalledError) Error() string {
	return e.What + " is gone or being deleted; the deletion of a ModelRegistry that goes with it deletes nothing else"
}

// Installed is an *UninstalledError when the CRD of ModelRegistries or the namespace that holds them is on its way out.
// Without the right to look at either it is another error: nobody can tell then.
func (c *Cluster) Installed(ctx context.Context, namespace string) error {
	name := v1alpha1.RegistryResource + "." + v1alpha1.GroupVersion.Group
	crd, err := c.metadata.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && crd.DeletionTimestamp != nil {
		return &UninstalledError{"CRD " + name}
	}
	if err != nil {
		return fmt.Errorf("looking whether davit is being uninstalled: %w", err)
	}
	ns, err := c.typed.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil {
		return &UninstalledError{"namespace " + namespace}
	}
	if err != nil {
		return fmt.Errorf("looking whether davit is being uninstalled: %w", err)
	}
	return nil
}
