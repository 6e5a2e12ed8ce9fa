package cluster

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Health tells how mr's objects fare: the workloads from memory, with the pods of their current revision
// only; other kinds that report a status by kstatus, with one request each; the rest count as ready. It
// counts from the generation recorded in mr's inventory. A container gets startupTimeout from its start to
// be ready; none when zero. After three crashes the end of the log is read, if no termination message says it.
func (w *Watcher) Health(ctx context.Context, mr *v1alpha1.ModelRelease, startupTimeout time.Duration) Health {
	v := view{set: w.set(mr.Namespace), namespace: mr.Namespace, timeout: startupTimeout, now: time.Now()}
	if v.set == nil {
		return progressing("Unwatched", "namespace %s is not watched", mr.Namespace)
	}
	v.release = mr.Namespace + "/" + mr.Spec.Release
	var parts []Health
	for _, ref := range mr.Status.Inventory {
		if ref.Stale {
			continue
		}
		h, ok := v.workload(ref)
		if !ok {
			h = w.c.statusOf(ctx, mr.Namespace, ref)
		}
		parts = append(parts, h)
	}
	h := worst(parts...)
	if c := h.crash; c != nil && h.LastLog == "" {
		h.LastLog = w.c.LastLog(ctx, c.namespace, c.pod, c.container, c.previous)
	}
	return h
}

// view is one look at one release in the caches.
type view struct {
	set                *informerSet
	namespace, release string
	timeout            time.Duration
	now                time.Time
}

// workload judges ref if it is a kind that is watched.
func (v view) workload(ref v1alpha1.ObjectRef) (Health, bool) {
	switch ref.GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		d, ok := get[*appsv1.Deployment](v, v.set.deployments, ref)
		if !ok {
			return absent(ref), true
		}
		rs := currentReplicaSet(d, list[*appsv1.ReplicaSet](v, v.set.replicaSets))
		if rs == nil {
			return v.judge(deploymentHealth(d), nil), true
		}
		return v.judge(deploymentHealth(d), controlled(v.pods(), rs, "", "")), true
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		s, ok := get[*appsv1.StatefulSet](v, v.set.statefulSets, ref)
		if !ok {
			return absent(ref), true
		}
		return v.judge(statefulSetHealth(s), controlled(v.pods(), s, appsv1.ControllerRevisionHashLabelKey, s.Status.UpdateRevision)), true
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		d, ok := get[*appsv1.DaemonSet](v, v.set.daemonSets, ref)
		if !ok {
			return absent(ref), true
		}
		return v.judge(daemonSetHealth(d), controlled(v.pods(), d, "pod-template-generation", d.Annotations[appsv1.DeprecatedTemplateGeneration])), true
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		j, ok := get[*batchv1.Job](v, v.set.jobs, ref)
		if !ok {
			return absent(ref), true
		}
		return v.judge(jobHealth(j), controlled(v.pods(), j, "", "")), true
	}
	return Health{}, false
}

func (v view) pods() []*corev1.Pod { return list[*corev1.Pod](v, v.set.pods) }

func (v view) judge(rollout Health, pods []*corev1.Pod) Health {
	return judge(rollout, pods, v.timeout, v.now)
}

// judge joins what the workload says with what its pods say. A workload that is rolled out is ready even if
// containers crashed on the way; one whose controller did not look yet has only pods of the past.
func judge(rollout Health, pods []*corev1.Pod, timeout time.Duration, now time.Time) Health {
	h := podsHealth(pods, timeout, now)
	switch {
	case rollout.Reason == "Unobserved":
		return rollout
	case rollout.State == Ready:
		rollout.Crashes = h.Crashes
		if rollout.Since.IsZero() {
			rollout.Since = readySince(pods)
		}
		return rollout
	case severity[h.State] < severity[rollout.State] || h.State == Ready:
		rollout.Crashes, rollout.Next = h.Crashes, h.Next
		return rollout
	}
	return h
}

func readySince(pods []*corev1.Pod) (since time.Time) {
	for _, pod := range pods {
		if c := condition(pod, corev1.PodReady); c.Status == corev1.ConditionTrue && c.LastTransitionTime.After(since) {
			since = c.LastTransitionTime.Time
		}
	}
	return since
}

// get finds ref in a cache, if the cache is as new as what was applied.
func get[T metav1.Object](v view, informer cache.SharedIndexInformer, ref v1alpha1.ObjectRef) (T, bool) {
	var none T
	o, ok, _ := informer.GetStore().GetByKey(v.namespace + "/" + ref.Name)
	if !ok {
		return none, false
	}
	t, ok := o.(T)
	if !ok || t.GetGeneration() < ref.Generation || ref.UID != "" && t.GetUID() != ref.UID {
		return none, false
	}
	return t, true
}

func list[T any](v view, informer cache.SharedIndexInformer) []T {
	objects, _ := informer.GetIndexer().ByIndex(byRelease, v.release)
	var ts []T
	for _, o := range objects {
		if t, ok := o.(T); ok {
			ts = append(ts, t)
		}
	}
	return ts
}

func absent(ref v1alpha1.ObjectRef) Health {
	return progressing("Unobserved", "%s was just applied", ref)
}

// silent are groups whose kinds have no status that says whether they are ready, or none that a release waits
// for: a volume claim may wait for its pod, and a load balancer's address says nothing of the model.
var silent = map[string]bool{
	"": true, "rbac.authorization.k8s.io": true, "networking.k8s.io": true, "policy": true, "autoscaling": true,
	"scheduling.k8s.io": true, "resource.k8s.io": true,
}

func (c *Cluster) statusOf(ctx context.Context, namespace string, ref v1alpha1.ObjectRef) Health {
	if silent[ref.Group] {
		return Health{State: Ready}
	}
	m, err := c.mapping(ref.GroupVersionKind())
	if err != nil {
		return Health{State: Waiting, Reason: "Unreadable", Message: err.Error()}
	}
	o, err := c.dynamic.Resource(m.Resource).Namespace(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return progressing("Missing", "%s is not there", ref)
	}
	if err != nil {
		return Health{State: Waiting, Reason: "Unreadable", Message: fmt.Sprintf("%s: %v", ref, err)}
	}
	if o.GetGeneration() < ref.Generation {
		return absent(ref)
	}
	result, err := status.Compute(o)
	switch {
	case err != nil:
		return Health{State: Waiting, Reason: "Unreadable", Message: fmt.Sprintf("%s: %v", ref, err)}
	case result.Status == status.CurrentStatus:
		return Health{State: Ready}
	case result.Status == status.FailedStatus:
		return Health{State: Failed, Reason: "Stalled", Message: fmt.Sprintf("%s: %s", ref, result.Message)}
	}
	return progressing("NotReady", "%s: %s", ref, result.Message)
}
