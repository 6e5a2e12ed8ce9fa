package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// ownedFields is the hash of the fields davit owns of an object. Whoever changes one of them takes it away
// from davit, so the hash tells a changed object without its values, which webhooks may fill differently
// each time.
func ownedFields(o *metav1.PartialObjectMetadata) string {
	e := ownEntry(o)
	if e == nil || e.FieldsV1 == nil {
		return ""
	}
	sum := sha256.Sum256(e.FieldsV1.GetRawBytes())
	return hex.EncodeToString(sum[:10])
}

func ownEntry(o *metav1.PartialObjectMetadata) *metav1.ManagedFieldsEntry {
	for i, e := range o.ManagedFields {
		if e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			return &o.ManagedFields[i]
		}
	}
	return nil
}

// isNew says whether our apply created o: then the entry of our fields is as old as the object. A later apply
// that changed something has moved the entry's time on.
func isNew(o *metav1.PartialObjectMetadata) bool {
	e := ownEntry(o)
	return e != nil && e.Time != nil && e.Time.Equal(&o.CreationTimestamp)
}

// givesUpReplicas says whether the object is of a kind that has a default of one replica and says nothing of
// it: an autoscaler has the word.
func givesUpReplicas(o *unstructured.Unstructured) bool {
	gvk := o.GroupVersionKind()
	if gvk.Group != "apps" || gvk.Kind != "Deployment" && gvk.Kind != "StatefulSet" {
		return false
	}
	_, set, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "replicas")
	return !set
}

func ownsReplicas(o *metav1.PartialObjectMetadata) bool {
	e := ownEntry(o)
	return e != nil && e.FieldsV1 != nil && bytes.Contains(e.FieldsV1.GetRawBytes(), []byte(`"f:replicas"`))
}

// handOver makes a second manager own the present number of replicas. Otherwise giving the field up would
// remove it, and the API server's default of 1 would stop all replicas but one.
func (c *Cluster) handOver(ctx context.Context, m *member) error {
	client := c.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	live, err := client.Get(ctx, m.ref.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading replicas of %s: %w", m.ref, err)
	}
	replicas, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	body, err := json.Marshal(map[string]any{
		"apiVersion": live.GetAPIVersion(), "kind": live.GetKind(),
		"metadata": map[string]any{"name": m.ref.Name}, "spec": map[string]any{"replicas": replicas},
	})
	if err != nil {
		return fmt.Errorf("encoding replicas of %s: %w", m.ref, err)
	}
	opts := applyOptions()
	opts.FieldManager = Manager + "-handover"
	if _, err := m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts); err != nil {
		return fmt.Errorf("handing over replicas of %s: %w", m.ref, err)
	}
	return nil
}
