package cluster

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Watcher keeps the workloads and pods of all releases in memory, without the parts nobody asks for. It only
// reads, and no Secrets. It may be used concurrently.
type Watcher struct {
	c    *Cluster
	sets map[string]*informerSet // by namespace; under "" for all
	stop func()
}

type informerSet struct {
	deployments, statefulSets, daemonSets, jobs, replicaSets, pods, releases cache.SharedIndexInformer
}

// byRelease indexes objects by "<namespace>/<value of davit.dev/release>".
const byRelease = "release"

// Watch starts one watch per kind, waits until each has its first list, and calls changed whenever an object
// of a release changes, or a person changes its ModelRelease's spec, until ctx ends. What the first lists
// hold is not told. changed may be called concurrently and must return at once.
func (c *Cluster) Watch(ctx context.Context, changed func(namespace, release string)) (*Watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watcher{c: c, sets: map[string]*informerSet{}}
	var stops []func()
	w.stop = func() {
		cancel()
		for _, stop := range stops {
			stop()
		}
	}
	for _, namespace := range c.namespaces {
		labelled := func(o *metav1.ListOptions) { o.LabelSelector = LabelRelease }
		typed := informers.NewSharedInformerFactoryWithOptions(c.typed, 0, informers.WithNamespace(namespace),
			informers.WithTweakListOptions(labelled), informers.WithTransform(trim))
		specs := metadatainformer.NewFilteredSharedInformerFactory(c.metadata, 0, namespace, labelled)
		releases := specs.ForResource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Informer()
		set := &informerSet{
			typed.Apps().V1().Deployments().Informer(), typed.Apps().V1().StatefulSets().Informer(),
			typed.Apps().V1().DaemonSets().Informer(), typed.Batch().V1().Jobs().Informer(),
			typed.Apps().V1().ReplicaSets().Informer(), typed.Core().V1().Pods().Informer(), releases,
		}
		w.sets[namespace] = set
		err := errors.Join(set.handle(changed), releases.SetTransform(trim))
		if err != nil {
			w.stop()
			return nil, fmt.Errorf("setting up watches: %w", err)
		}
		typed.Start(ctx.Done())
		specs.Start(ctx.Done())
		stops = append(stops, typed.Shutdown, specs.Shutdown)
	}
	for _, set := range w.sets {
		for _, informer := range set.all() {
			if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				w.stop()
				return nil, fmt.Errorf("waiting for the first lists: %w", context.Cause(ctx))
			}
		}
	}
	return w, nil
}

// Stop ends the watches and waits for their goroutines.
func (w *Watcher) Stop() { w.stop() }

func (w *Watcher) set(namespace string) *informerSet {
	if set := w.sets[namespace]; set != nil {
		return set
	}
	return w.sets[""]
}

func (s *informerSet) all() []cache.SharedIndexInformer {
	return []cache.SharedIndexInformer{s.deployments, s.statefulSets, s.daemonSets, s.jobs, s.replicaSets, s.pods, s.releases}
}

func (s *informerSet) handle(changed func(namespace, release string)) error {
	tell := func(o any) {
		if m, err := meta.Accessor(o); err == nil {
			changed(m.GetNamespace(), m.GetLabels()[LabelRelease])
		}
	}
	handler := cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, first bool) {
			if !first {
				tell(o)
			}
		},
		UpdateFunc: func(old, o any) {
			if differs(old, o) {
				tell(o)
			}
		},
		DeleteFunc: func(o any) {
			if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = lost.Obj
			}
			tell(o)
		},
	}
	var errs []error
	for _, informer := range s.all() {
		_, err := informer.AddEventHandler(handler)
		errs = append(errs, err)
	}
	for _, informer := range []cache.SharedIndexInformer{s.replicaSets, s.pods} {
		errs = append(errs, informer.AddIndexers(cache.Indexers{byRelease: releaseOf}))
	}
	return errors.Join(errs...)
}

// differs is false for a relist and for davit's own writes of a ModelRelease, which leave its spec alone.
func differs(old, o any) bool {
	a, errA := meta.Accessor(old)
	b, errB := meta.Accessor(o)
	if errA != nil || errB != nil || a.GetResourceVersion() == b.GetResourceVersion() {
		return false
	}
	_, release := o.(*metav1.PartialObjectMetadata)
	return !release || a.GetGeneration() != b.GetGeneration()
}

func releaseOf(o any) ([]string, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	return []string{m.GetNamespace() + "/" + m.GetLabels()[LabelRelease]}, nil
}

// trim drops what health does not read: a pod takes 1 KiB instead of 8.
func trim(o any) (any, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return o, nil // a DeletedFinalStateUnknown, trimmed before
	}
	m.SetManagedFields(nil)
	kept := map[string]string{}
	for _, key := range []string{revisionAnnotation, appsv1.DeprecatedTemplateGeneration} {
		if value, ok := m.GetAnnotations()[key]; ok {
			kept[key] = value
		}
	}
	m.SetAnnotations(kept)
	switch o := o.(type) {
	case *appsv1.Deployment:
		o.Spec = appsv1.DeploymentSpec{Replicas: o.Spec.Replicas}
	case *appsv1.StatefulSet:
		o.Spec = appsv1.StatefulSetSpec{Replicas: o.Spec.Replicas}
	case *appsv1.DaemonSet:
		o.Spec = appsv1.DaemonSetSpec{}
	case *appsv1.ReplicaSet:
		o.Spec, o.Status = appsv1.ReplicaSetSpec{}, appsv1.ReplicaSetStatus{}
	case *batchv1.Job:
		o.Spec = batchv1.JobSpec{}
	case *corev1.Pod:
		trimPod(o)
	}
	return o, nil
}

func trimPod(pod *corev1.Pod) {
	spec := corev1.PodSpec{NodeName: pod.Spec.NodeName, ReadinessGates: pod.Spec.ReadinessGates}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			spec.Volumes = append(spec.Volumes, v)
		}
	}
	for _, c := range pod.Spec.InitContainers {
		spec.InitContainers = append(spec.InitContainers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	for _, c := range pod.Spec.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	pod.Spec = spec
}
