package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Watcher keeps in memory what davit needs of the releases' objects and pods, kind by kind as releases come to
// hold them. It only reads, as davit's own user, and never Secrets. It may be used concurrently.
type Watcher struct {
	c       *Cluster
	changed func(namespace, release string)
	exprs   expressions

	mu    sync.Mutex
	kinds map[schema.GroupKind]*kindWatch
	work  sync.WaitGroup
	start func(func(context.Context)) // nil after Stop
	stop  context.CancelFunc
}

// byRelease indexes objects by "<namespace>/<value of davit.dev/release>".
const byRelease = "release"

// Watch starts the watches of pods and ModelReleases and waits for their first lists; the other kinds come by
// Track. It calls changed whenever an object of a release changes or goes, or a person changes its
// ModelRelease's spec, until ctx ends. What the first lists hold is not told. changed may be called
// concurrently and must return at once. One Watcher runs per Cluster: Apply asks it before it asks the API
// server.
func (c *Cluster) Watch(ctx context.Context, changed func(namespace, release string)) (*Watcher, error) {
	running, cancel := context.WithCancel(ctx)
	w := &Watcher{c: c, changed: changed, kinds: map[schema.GroupKind]*kindWatch{}, stop: cancel}
	w.start = func(f func(context.Context)) { w.work.Go(func() { f(running) }) }
	if !c.watcher.CompareAndSwap(nil, w) {
		cancel()
		return nil, errors.New("cluster: it is watched already")
	}
	w.Track(kindPod, kindRelease)
	if err := w.Wait(ctx); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

// Stop ends the watches and waits for their goroutines.
func (w *Watcher) Stop() {
	w.mu.Lock()
	w.start = nil
	w.mu.Unlock()
	w.stop()
	w.work.Wait()
	w.c.watcher.CompareAndSwap(w, nil)
}

// Track starts the watches of kinds that are not watched yet, and returns at once. Apply calls it; call it with
// the inventories' kinds at the start. A kind that was not to be found is looked for again at once. Secrets are
// passed over.
func (w *Watcher) Track(kinds ...schema.GroupKind) {
	for _, kind := range kinds {
		if k := w.ensure(kind); k != nil {
			select {
			case k.again <- struct{}{}:
			default:
			}
		}
		if kind == kindDeployment {
			w.ensure(kindReplicaSet)
		}
	}
}

// ensure starts the watch of a kind unless there is one. It is nil for a kind that is never watched.
func (w *Watcher) ensure(kind schema.GroupKind) *kindWatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.kinds[kind]
	if k != nil || kind == kindSecret || w.start == nil {
		return k
	}
	k = w.newKind(kind)
	w.kinds[kind] = k
	w.start(k.run)
	return k
}

// Wait returns when each kind that is tracked has its first list, or could not be watched at the first try.
func (w *Watcher) Wait(ctx context.Context) error {
	w.mu.Lock()
	var tried []chan struct{}
	for _, k := range w.kinds {
		tried = append(tried, k.tried)
	}
	w.mu.Unlock()
	for _, done := range tried {
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the first lists: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (w *Watcher) kind(kind schema.GroupKind) *kindWatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kinds[kind]
}

func (w *Watcher) tell(o any) {
	if t, ok := o.(*tracked); ok {
		w.changed(t.namespace, t.release)
	} else if m, err := meta.Accessor(o); err == nil {
		w.changed(m.GetNamespace(), m.GetLabels()[LabelRelease])
	}
}

// differs is false for a relist, for a write of a ModelRelease that leaves its spec alone, and for what matters
// neither to drift nor to health.
func differs(kind schema.GroupKind, old, o any) bool {
	switch o := o.(type) {
	case *tracked:
		before, ok := old.(*tracked)
		if !ok || before.version == o.version {
			return !ok
		}
		if kind == kindRelease {
			return before.generation != o.generation
		}
		return o.health != nil || before.uid != o.uid || before.fields != o.fields || before.ignore != o.ignore ||
			before.deleting != o.deleting || before.part != o.part
	case metav1.Object:
		before, ok := old.(metav1.Object)
		return !ok || before.GetResourceVersion() != o.GetResourceVersion()
	}
	return true
}

func releaseOf(o any) ([]string, error) {
	if t, ok := o.(*tracked); ok {
		return []string{t.namespace + "/" + t.release}, nil
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	return []string{m.GetNamespace() + "/" + m.GetLabels()[LabelRelease]}, nil
}

// trim drops what health does not read of pods: one takes 1 KiB instead of 8.
func trim(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil // a DeletedFinalStateUnknown, trimmed before
	}
	pod.ManagedFields, pod.Annotations, pod.Finalizers, pod.GenerateName = nil, nil, nil, ""
	trimPod(pod)
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
