package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// WatchRegistries tells, one call at a time, of every ModelRegistry of a namespace, and again when its spec changed,
// until ctx ends. One that is gone is told with a DeletionTimestamp.
func (c *Cluster) WatchRegistries(ctx context.Context, namespace string, tell func(*v1alpha1.ModelRegistry)) error {
	source := cache.NewListWatchFromClient(c.releases, v1alpha1.RegistryResource, namespace, fields.Everything())
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &v1alpha1.ModelRegistry{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(o any) { tell(o.(*v1alpha1.ModelRegistry).DeepCopy()) },
			UpdateFunc: func(old, o any) {
				before, now := old.(*v1alpha1.ModelRegistry), o.(*v1alpha1.ModelRegistry)
				if before.UID != now.UID {
					tell(deleted(before))
				}
				if before.UID != now.UID || before.Generation != now.Generation {
					tell(now.DeepCopy())
				}
			},
			DeleteFunc: func(o any) {
				if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = lost.Obj
				}
				tell(deleted(o.(*v1alpha1.ModelRegistry)))
			},
		},
	})
	informer.RunWithContext(ctx)
	return ctx.Err()
}

// deleted is a ModelRegistry that is not there any more, as it was last.
func deleted(mr *v1alpha1.ModelRegistry) *v1alpha1.ModelRegistry {
	gone, now := mr.DeepCopy(), metav1.Now()
	gone.DeletionTimestamp = &now
	return gone
}

// Registries lists the ModelRegistries of the Config's namespaces.
func (c *Cluster) Registries(ctx context.Context) (all []v1alpha1.ModelRegistry, err error) {
	for _, namespace := range c.namespaces {
		list := &v1alpha1.ModelRegistryList{}
		err := c.releases.Get().NamespaceIfScoped(namespace, namespace != "").Resource(v1alpha1.RegistryResource).Do(ctx).Into(list)
		if err != nil {
			return nil, fmt.Errorf("listing ModelRegistries: %w", err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// Registry reads one ModelRegistry; nil when there is none.
func (c *Cluster) Registry(ctx context.Context, namespace, name string) (*v1alpha1.ModelRegistry, error) {
	mr := &v1alpha1.ModelRegistry{}
	err := c.releases.Get().Namespace(namespace).Resource(v1alpha1.RegistryResource).Name(name).Do(ctx).Into(mr)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading ModelRegistry %s/%s: %w", namespace, name, err)
	}
	return mr, nil
}

// WriteRegistryStatus writes what change makes of a ModelRegistry's status. A lost race is tried again; a
// ModelRegistry that is gone is none of anybody's business, and another one of its name is not told what it followed.
func (c *Cluster) WriteRegistryStatus(ctx context.Context, of *v1alpha1.ModelRegistry, change func(*v1alpha1.ModelRegistry)) error {
	for range 5 {
		mr := &v1alpha1.ModelRegistry{}
		get := c.releases.Get().Namespace(of.Namespace).Resource(v1alpha1.RegistryResource).Name(of.Name)
		if err := get.Do(ctx).Into(mr); err != nil {
			return orGone(err)
		}
		if mr.UID != of.UID {
			return nil
		}
		before := mr.Status.DeepCopy()
		change(mr)
		if equality.Semantic.DeepEqual(before, &mr.Status) {
			return nil
		}
		mr.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.RegistryKind))
		err := c.write(ctx, func() error {
			return c.releases.Put().Namespace(of.Namespace).Resource(v1alpha1.RegistryResource).Name(of.Name).SubResource("status").
				Param("fieldManager", Manager).Body(mr).Do(ctx).Error()
		})
		if err == nil || !apierrors.IsConflict(err) {
			return orGone(err)
		}
	}
	return fmt.Errorf("writing the status of ModelRegistry %s/%s: %w", of.Namespace, of.Name, ErrConflict)
}

func orGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Secret reads one key of a Secret. The error names both and holds no content.
func (c *Cluster) Secret(ctx context.Context, namespace, name, key string) ([]byte, error) {
	data, err := c.Secrets(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	value, ok := data[key]
	if !ok {
		return nil, fmt.Errorf("reading Secret %s/%s: it has no key %s (it has %s)", namespace, name, key, cmp.Or(strings.Join(slices.Sorted(maps.Keys(data)), ", "), "none"))
	}
	return value, nil
}

// Secrets reads all of a Secret.
func (c *Cluster) Secrets(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	secret, err := c.typed.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("reading Secret %s/%s: %w; it is read again as soon as it is there", namespace, name, err)
	case err != nil:
		return nil, fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	return secret.Data, nil
}
