package cluster

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// HealthOptions say what a release's health is measured by.
type HealthOptions struct {
	// StartupTimeout is how long a container may take from its start to be ready; for ever when zero.
	StartupTimeout time.Duration
	// Exprs judge the objects of their kinds in place of what davit knows of them.
	Exprs []HealthExpr
}

// Health tells from memory how mr's objects fare: workloads with the pods of their current revision only, other
// kinds that report a status by their conditions; the rest count as ready. It counts from the generation
// recorded in mr's inventory, and is Progressing ("Unobserved") where the watch has not shown that yet. After
// three crashes the end of the log is read, if no termination message says it; nothing else is sent.
func (w *Watcher) Health(ctx context.Context, mr *v1alpha1.ModelRelease, opts HealthOptions) Health {
	v := view{w: w, namespace: mr.Namespace, release: mr.Namespace + "/" + mr.Spec.Release, timeout: opts.StartupTimeout, now: time.Now()}
	var parts, claims []Health
	for _, ref := range mr.Status.Inventory {
		switch {
		case ref.Stale:
		case ref.GroupKind() == kindClaim:
			claims = append(claims, v.object(ctx, ref, opts.Exprs))
		default:
			parts = append(parts, v.object(ctx, ref, opts.Exprs))
		}
	}
	h := worst(parts...)
	if h.State != Ready { // a volume that waits for its first pod is no fault, until a pod waits for it
		h = worst(append(parts, claims...)...)
	}
	if c := h.crash; c != nil && h.LastLog == "" {
		h.LastLog = w.c.LastLog(ctx, c.namespace, c.pod, c.container, c.previous)
	}
	return h
}

// view is one look at one release in the caches.
type view struct {
	w                  *Watcher
	namespace, release string
	timeout            time.Duration
	now                time.Time
}

// object judges ref by its kind.
func (v view) object(ctx context.Context, ref v1alpha1.ObjectRef, exprs []HealthExpr) Health {
	kind := ref.GroupKind()
	expr := exprFor(exprs, kind)
	if statusless(kind) && expr == nil {
		return Health{State: Ready}
	}
	k := v.w.ensure(kind)
	t, known := k.look(v.namespace, ref.Name)
	switch {
	case t == nil && !known:
		return v.unseen(ctx, k, ref)
	case t == nil:
		return progressing("Missing", "%s is not there", ref)
	case t.generation < ref.Generation || ref.UID != "" && t.uid != ref.UID:
		return absent(ref)
	case t.deleting:
		return progressing("Deleting", "%s is being deleted", ref)
	}
	if expr != nil {
		return v.w.exprs.judge(ctx, ref, *expr, t)
	}
	if work, ok := t.health.(*workload); ok {
		return v.workload(t, work)
	}
	return v.custom(kind, t)
}

// unseen tells a watch that is just starting from one that can't be had.
func (v view) unseen(_ context.Context, k *kindWatch, ref v1alpha1.ObjectRef) Health {
	if why := k.trouble(); why != nil {
		return Health{State: Waiting, Reason: "Unwatched", Message: fmt.Sprintf("%s can't be watched: %v", ref, why)}
	}
	return absent(ref)
}

// workload puts together again what the functions of workloads.go read.
func (v view) workload(t *tracked, work *workload) Health {
	meta := metav1.ObjectMeta{Name: t.name, UID: t.uid, Generation: t.generation}
	switch status := work.status.(type) {
	case *appsv1.DeploymentStatus:
		meta.Annotations = map[string]string{revisionAnnotation: work.revision}
		d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: work.replicas}, Status: *status}
		rs := currentReplicaSet(d, list[*tracked](v, kindReplicaSet))
		if rs == nil {
			return v.judge(deploymentHealth(d), nil)
		}
		return v.judge(deploymentHealth(d), controlled(v.pods(), &metav1.ObjectMeta{UID: rs.uid}, "", ""))
	case *appsv1.StatefulSetStatus:
		s := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: work.replicas}, Status: *status}
		return v.judge(statefulSetHealth(s), controlled(v.pods(), s, appsv1.ControllerRevisionHashLabelKey, status.UpdateRevision))
	case *appsv1.DaemonSetStatus:
		d := &appsv1.DaemonSet{ObjectMeta: meta, Status: *status}
		return v.judge(daemonSetHealth(d), controlled(v.pods(), d, "pod-template-generation", work.revision))
	case *batchv1.JobStatus:
		j := &batchv1.Job{ObjectMeta: meta, Status: *status}
		return v.judge(jobHealth(j), controlled(v.pods(), j, "", ""))
	}
	return Health{State: Ready}
}

func (v view) pods() []*corev1.Pod { return list[*corev1.Pod](v, kindPod) }

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
	h.Partly = rollout.Partly
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

// list is what a kind's informer has of the release.
func list[T any](v view, kind schema.GroupKind) (ts []T) {
	k := v.w.ensure(kind)
	if k == nil {
		return nil
	}
	k.mu.Lock()
	informer := k.of(v.namespace)
	k.mu.Unlock()
	if informer == nil {
		return nil
	}
	objects, _ := informer.GetIndexer().ByIndex(byRelease, v.release)
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
