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
	return e.What + " is gone, being deleted, or made anew since; what is deleted with it deletes nothing else"
}

// Installed is an *UninstalledError when the CRD of ModelRegistries, or the namespace that holds them, is on its way out, or
// was made anew since a ModelRegistry was created: kubectl replace --force does so, and takes all of them with it. Without
// the right to look at either it is another error: nobody can tell then.
func (c *Cluster) Installed(ctx context.Context, mr *v1alpha1.ModelRegistry) error {
	if err := c.kindSince(ctx, v1alpha1.RegistryResource, mr.CreationTimestamp); err != nil {
		return err
	}
	ns, err := c.typed.CoreV1().Namespaces().Get(ctx, mr.Namespace, metav1.GetOptions{})
	return since("namespace "+mr.Namespace, ns, err, mr.CreationTimestamp)
}

// KindInstalled is the same of the CRD of ModelReleases.
func (c *Cluster) KindInstalled(ctx context.Context, mr *v1alpha1.ModelRelease) error {
	return c.kindSince(ctx, v1alpha1.Resource, mr.CreationTimestamp)
}

func (c *Cluster) kindSince(ctx context.Context, resource string, created metav1.Time) error {
	name := resource + "." + v1alpha1.GroupVersion.Group
	crd, err := c.metadata.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
	return since("CRD "+name, crd, err, created)
}

// since says whether something has been there, and stays, since what it holds was created.
func since(what string, holder metav1.Object, err error, created metav1.Time) error {
	switch {
	case apierrors.IsNotFound(err):
		return &UninstalledError{what}
	case err != nil:
		return fmt.Errorf("looking whether davit is being uninstalled: %w", err)
	case holder.GetDeletionTimestamp() != nil, holder.GetCreationTimestamp().After(created.Time):
		return &UninstalledError{what}
	}
	return nil
}
