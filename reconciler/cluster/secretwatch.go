package cluster

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// secretsListed bounds how long the first list of Secrets is waited for.
const secretsListed = 5 * time.Second

// WatchSecrets starts to tell the name of each Secret of a namespace that came, changed or went, until stop is called, and
// returns when it knows which are there. Their content is neither asked for nor kept: who wants it reads it. changed must
// return at once. Without the right to list and watch them it logs that and tells nothing, until there is one.
func (c *Cluster) WatchSecrets(ctx context.Context, namespace string, changed func(name string)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.secretSource(namespace), ObjectType: &metav1.PartialObjectMetadata{}, Transform: onlyVersion,
		Handler: cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(o any, first bool) {
				if !first {
					changed(secretName(o))
				}
			},
			UpdateFunc: func(old, o any) {
				before, now := old.(*metav1.PartialObjectMetadata), o.(*metav1.PartialObjectMetadata)
				if before.ResourceVersion != now.ResourceVersion {
					changed(now.Name)
				}
			},
			DeleteFunc: func(o any) { changed(secretName(o)) },
		},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		informer.RunWithContext(ctx)
	}()
	listed, release := context.WithTimeout(ctx, secretsListed)
	defer release()
	if !cache.WaitForCacheSync(listed.Done(), informer.HasSynced) && ctx.Err() == nil {
		c.log.Warn("Secrets are not watched: changes of some are heeded after a restart only; davit may need the rights list and watch on Secrets of its own namespace", "namespace", namespace)
	}
	return func() {
		cancel()
		<-done
	}
}

func (c *Cluster) secretSource(namespace string) cache.ListerWatcher {
	client := c.metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, opts)
		},
	}, c.metadata)
}

func secretName(o any) string {
	if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = lost.Obj
	}
	return o.(*metav1.PartialObjectMetadata).Name
}

// NoSecret says whether reading a Secret failed because there is none of that name.
func NoSecret(err error) bool { return apierrors.IsNotFound(err) }
