package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Pods names from memory the pods of a release that have the labels; all when there are none.
func (w *Watcher) Pods(namespace, release string, labels map[string]string) []string {
	v := view{w: w, namespace: namespace, release: namespace + "/" + release}
	var out []string
	for _, p := range v.pods() {
		if has(p.Labels, labels) {
			out = append(out, p.Name)
		}
	}
	return out
}

func has(labels, want map[string]string) bool {
	for k, v := range want {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// RevisionPods names from memory the pods of the revision that mr's workloads have now; of workloads whose revisions
// can't be told apart, such as a LeaderWorkerSet, all of the release's pods.
func (w *Watcher) RevisionPods(mr *v1alpha1.ModelRelease) []string {
	v := view{w: w, namespace: mr.Namespace, release: mr.Namespace + "/" + mr.Spec.Release}
	var out []string
	found := false
	for _, ref := range mr.Status.Inventory {
		kind := ref.GroupKind()
		if ref.Stale || kind.Group != appsv1.GroupName || statusless(kind) {
			continue
		}
		t, _ := v.w.ensure(kind).look(v.namespace, ref.Name)
		if t == nil {
			continue
		}
		if work, ok := t.health.(*workload); ok {
			found = true
			for _, p := range v.current(t, work) {
				out = append(out, p.Name)
			}
		}
	}
	if !found {
		return w.Pods(mr.Namespace, mr.Spec.Release, nil)
	}
	return out
}

// current are the pods of a workload's present template.
func (v view) current(t *tracked, work *workload) []*corev1.Pod {
	meta := metav1.ObjectMeta{Name: t.name, UID: t.uid, Generation: t.generation}
	switch status := work.status.(type) {
	case *appsv1.DeploymentStatus:
		meta.Annotations = map[string]string{revisionAnnotation: work.revision}
		if rs := currentReplicaSet(&appsv1.Deployment{ObjectMeta: meta}, list[*tracked](v, kindReplicaSet)); rs != nil {
			return controlled(v.pods(), &metav1.ObjectMeta{UID: rs.uid}, "", "")
		}
	case *appsv1.StatefulSetStatus:
		return controlled(v.pods(), &appsv1.StatefulSet{ObjectMeta: meta}, appsv1.ControllerRevisionHashLabelKey, status.UpdateRevision)
	}
	return nil
}

// WriteServing writes the serving metrics of mr's status alone; none when nil. Where mr was written since it was read it
// is ErrConflict, and nothing is written. It returns what mr is then, and leaves its argument alone.
func (c *Cluster) WriteServing(ctx context.Context, mr *v1alpha1.ModelRelease, serving *v1alpha1.ServingMetrics) (*v1alpha1.ModelRelease, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": mr.ResourceVersion}, "status": map[string]any{"serving": replaced(serving)},
	})
	if err != nil {
		return nil, err
	}
	out := &v1alpha1.ModelRelease{}
	err = c.write(ctx, func() error {
		return c.releases.Patch(types.MergePatchType).Namespace(mr.Namespace).Resource(v1alpha1.Resource).Name(mr.Name).
			SubResource("status").Param("fieldManager", Manager).Body(patch).Do(ctx).Into(out)
	})
	switch {
	case apierrors.IsConflict(err):
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	case err != nil:
		return nil, fmt.Errorf("writing serving metrics of %s/%s: %w", mr.Namespace, mr.Name, err)
	}
	return received(out), nil
}

// replaced is metrics as a merge patch that leaves nothing of those before.
func replaced(m *v1alpha1.ServingMetrics) any {
	if m == nil {
		return nil
	}
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{
		"at": m.At, "window": m.Window, "requests": text(m.Requests), "errors": text(m.Errors), "latency": text(m.Latency),
		"ttft": text(m.TTFT), "tokens": text(m.Tokens), "message": text(m.Message),
	}
}
