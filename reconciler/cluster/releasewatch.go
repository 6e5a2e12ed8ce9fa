package cluster

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ReleaseWatch is who is told of ModelReleases by [WatchReleases]. Its functions may be called concurrently, for different
// namespaces.
type ReleaseWatch[T any] struct {
	// Keep makes of a ModelRelease what stays in memory of it, and may not keep the ModelRelease itself: of ten
	// thousand, whole ones would be most of the process's memory.
	Keep func(*v1alpha1.ModelRelease) T
	// Changed is told of each there is and each that changed, Gone of each that is no more.
	Changed, Gone func(T)
	// Synced is called once, when Changed was told of all there were at the beginning.
	Synced func()
}

// WatchReleases watches every ModelRelease of the Config's namespaces as davit's own user, until ctx ends.
func WatchReleases[T any](ctx context.Context, c *Cluster, w ReleaseWatch[T]) {
	var work, lists sync.WaitGroup
	for _, namespace := range c.namespaces {
		informer := w.informer(c, namespace)
		work.Go(func() { informer.RunWithContext(ctx) })
		lists.Go(func() {
			select {
			case <-ctx.Done():
			case <-informer.HasSyncedChecker().Done():
			}
		})
	}
	lists.Wait()
	if ctx.Err() == nil {
		w.Synced()
	}
	work.Wait()
}

// keptRelease is what an informer holds of a ModelRelease: enough to find it again, and what Keep made of it.
type keptRelease[T any] struct {
	metav1.ObjectMeta
	value T
}

func (w ReleaseWatch[T]) informer(c *Cluster, namespace string) cache.Controller {
	of := func(o any) T {
		if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = lost.Obj
		}
		return o.(*keptRelease[T]).value
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(c.releases, v1alpha1.Resource, namespace, fields.Everything()),
		ObjectType:    &v1alpha1.ModelRelease{},
		Transform: func(o any) (any, error) {
			mr, ok := o.(*v1alpha1.ModelRelease)
			if !ok {
				return o, nil // kept before
			}
			meta := metav1.ObjectMeta{Namespace: mr.Namespace, Name: mr.Name, UID: mr.UID, ResourceVersion: mr.ResourceVersion}
			return &keptRelease[T]{meta, w.Keep(received(mr))}, nil
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { w.Changed(of(o)) },
			UpdateFunc: func(_, o any) { w.Changed(of(o)) },
			DeleteFunc: func(o any) { w.Gone(of(o)) },
		},
	})
	return informer
}
