package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// WatchRuns calls changed for each run there is, and whenever its Job, JobSet or one of its pods changes or goes, until
// ctx ends, which it waits for. It reads as davit's own user, and of the objects their metadata alone: whoever is told
// asks [Cluster.Run]. What changed while the API server was out of reach is told when it is back; JobSets are watched
// from when the cluster has them. changed may be called concurrently and must return at once.
func (c *Cluster) WatchRuns(ctx context.Context, changed func(namespace, run string)) error {
	var work sync.WaitGroup
	for _, kind := range []schema.GroupKind{kindJob, kindPod, kindJobSet} {
		work.Go(func() { c.watchRuns(ctx, kind, changed) })
	}
	work.Wait()
	return context.Cause(ctx)
}

// watchRuns finds the kind and watches it. The reflector comes back by itself from whatever ends a watch.
func (c *Cluster) watchRuns(ctx context.Context, kind schema.GroupKind, changed func(namespace, run string)) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		m, err := c.servedMapping(ctx, kind)
		if err == nil && m != nil {
			if err = c.runInformers(ctx, m, changed); err == nil {
				return
			}
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("runs are not watched; it is tried again", "kind", kind.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (c *Cluster) runInformers(ctx context.Context, m *meta.RESTMapping, changed func(namespace, run string)) error {
	var informers []cache.SharedIndexInformer
	for _, namespace := range c.namespaces {
		informer := cache.NewSharedIndexInformerWithOptions(c.runSource(m, namespace), &metav1.PartialObjectMetadata{},
			cache.SharedIndexInformerOptions{ObjectDescription: "runs' " + m.GroupVersionKind.Kind})
		if err := informer.SetTransform(onlyVersion); err != nil {
			return fmt.Errorf("setting up the watch of %s: %w", m.Resource.Resource, err)
		}
		if _, err := informer.AddEventHandler(runHandler(changed)); err != nil {
			return fmt.Errorf("setting up the watch of %s: %w", m.Resource.Resource, err)
		}
		informers = append(informers, informer)
	}
	var work sync.WaitGroup
	for _, informer := range informers {
		work.Go(func() { informer.RunWithContext(ctx) })
	}
	work.Wait()
	return nil
}

func (c *Cluster) runSource(m *meta.RESTMapping, namespace string) cache.ListerWatcher {
	client := c.metadata.Resource(m.Resource).Namespace(namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = LabelRun
			return client.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = LabelRun
			return client.Watch(ctx, opts)
		},
	}, c.metadata)
}

// onlyVersion keeps of an object which one it is, of which run and which version.
func onlyVersion(o any) (any, error) {
	p, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil // a DeletedFinalStateUnknown, which was kept so before
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Labels: map[string]string{LabelRun: p.Labels[LabelRun]},
	}}, nil
}

func runHandler(changed func(namespace, run string)) cache.ResourceEventHandler {
	tell := func(o any) {
		if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = lost.Obj
		}
		if m, err := meta.Accessor(o); err == nil {
			changed(m.GetNamespace(), m.GetLabels()[LabelRun])
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: tell,
		UpdateFunc: func(old, o any) {
			before, err := meta.Accessor(old)
			if now, nowErr := meta.Accessor(o); err != nil || nowErr != nil || before.GetResourceVersion() != now.GetResourceVersion() {
				tell(o)
			}
		},
		DeleteFunc: tell,
	}
}
