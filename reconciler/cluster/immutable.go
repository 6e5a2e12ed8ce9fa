package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
)

// immutableFields are the fields an answer says can't be changed, in the API server's words: "field is
// immutable", "may not change once set" (Services), "updates to statefulset spec for fields other than … are
// forbidden", and in CRDs' rules whatever their authors wrote, mostly with the word.
func immutableFields(err error) (fields []string) {
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsInvalid(err) || status.Status().Details == nil {
		return nil
	}
	for _, cause := range status.Status().Details.Causes {
		for _, words := range []string{"immutable", "may not change once set", "fields other than", "may not be changed", "can not be unset"} {
			if strings.Contains(cause.Message, words) && cause.Field != "metadata.uid" {
				fields = append(fields, cause.Field)
				break
			}
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func immutable(err error) bool { return len(immutableFields(err)) > 0 }

// replace meets a change of an immutable field by the policy.
func (c *Cluster) replace(ctx context.Context, m *member, refusedBy error) error {
	if m.opts.OnImmutable != Recreate || !replaceable(m.ref.GroupKind()) {
		return m.unchangeable(refusedBy)
	}
	if err := c.acceptable(ctx, m); err != nil {
		return err
	}
	if err := c.clear(ctx, m); err != nil {
		return err
	}
	got, err := c.patch(ctx, m, "")
	switch {
	case err == nil:
		return c.done(ctx, m, nil, got, true)
	case otherThanThought(err, ""):
		return &BusyError{m.ref, "is being deleted, to be made anew"}
	}
	return refusal(m.ref, err)
}

// unchangeable names the fields and the way out.
func (m *member) unchangeable(err error) error {
	way := "set rollout.onImmutable: recreate to have it deleted and made anew, or give it a new name"
	if !replaceable(m.ref.GroupKind()) {
		way = "give it a new name"
	}
	return &RefusedError{m.ref, fmt.Sprintf("%s can't be changed (%s); %s", strings.Join(immutableFields(err), ", "), reason(err), way)}
}

// clear deletes the object that is in the way, unless it is busy.
func (c *Cluster) clear(ctx context.Context, m *member) error {
	kind, client := m.ref.GroupKind(), c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	var err error
	for range pruneTries { // a status update moves the resourceVersion
		var live *unstructured.Unstructured
		if live, err = client.Get(ctx, m.ref.Name, metav1.GetOptions{}); err != nil {
			break
		}
		if conflict := m.foreign(live); conflict != nil && !(conflict.Adoptable && c.adopt) { // put there since the apply
			return conflict
		}
		if live.GetDeletionTimestamp() != nil {
			return &BusyError{m.ref, "is being deleted, to be made anew"}
		}
		if kind == kindJob && !finished(live) {
			return &BusyError{m.ref, "runs, and a Job is not replaced before it has ended"}
		}
		uid, version, how := live.GetUID(), live.GetResourceVersion(), propagation(kind, live, m.object)
		err = client.Delete(ctx, m.ref.Name, metav1.DeleteOptions{
			PropagationPolicy: &how, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		})
		if !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s to make it anew: %w", m.ref, err)
	}
	return nil
}

func reason(err error) string {
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return err.Error()
	}
	return status.Status().Details.Causes[0].Message
}

// replaceable are the kinds whose objects hold nothing that deleting and making them anew would lose but
// service for a while.
func replaceable(kind schema.GroupKind) bool {
	switch kind {
	case kindDeployment, kindStatefulSet, kindDaemonSet, kindService, kindJob, kindLeaderWorker:
		return true
	}
	return false
}

// propagation chooses what loses least. A StatefulSet whose selector stays is deleted without its pods: they
// go on serving, and the new one adopts them. Of other workloads the pods go first and then the object: the
// new one could not adopt them, and two generations at once would fight for GPUs and volumes; GPUs are what
// a cluster has too few of. What has no pods goes at once.
func propagation(kind schema.GroupKind, live, next *unstructured.Unstructured) metav1.DeletionPropagation {
	switch kind {
	case kindService, kindJob: // a finished Job's pods run no more
		return metav1.DeletePropagationBackground
	case kindStatefulSet:
		before, _, _ := unstructured.NestedFieldNoCopy(live.Object, "spec", "selector")
		after, _, _ := unstructured.NestedFieldNoCopy(next.Object, "spec", "selector")
		if equality.Semantic.DeepEqual(before, after) {
			return metav1.DeletePropagationOrphan
		}
	}
	return metav1.DeletePropagationForeground
}

func finished(job *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["status"] == string(corev1.ConditionTrue) &&
			(m["type"] == string(batchv1.JobComplete) || m["type"] == string(batchv1.JobFailed)) {
			return true
		}
	}
	return false
}

// acceptable asks whether the API server would create the object, under a name of its own and without the
// addresses that the present one holds. A full quota is no objection: deleting makes room.
func (c *Cluster) acceptable(ctx context.Context, m *member) error {
	o := m.object.DeepCopy()
	name := o.GetName()
	o.SetName(name[:min(len(name), 50)] + "-davit-" + rand.String(5))
	if m.ref.GroupKind() == kindService {
		unstructured.RemoveNestedField(o.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(o.Object, "spec", "clusterIPs")
		ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
		for _, p := range ports {
			if port, ok := p.(map[string]any); ok {
				delete(port, "nodePort")
			}
		}
		if len(ports) > 0 {
			_ = unstructured.SetNestedSlice(o.Object, ports, "spec", "ports")
		}
	}
	body, err := json.Marshal(o.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	opts := applyOptions()
	opts.DryRun = []string{metav1.DryRunAll}
	_, err = m.client.Patch(ctx, o.GetName(), types.ApplyPatchType, body, opts)
	if err != nil && strings.Contains(err.Error(), "exceeded quota") {
		return nil
	}
	if err != nil {
		return refusal(m.ref, err)
	}
	return nil
}
