package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// ownedFields is the hash of the fields davit owns of an object and of when davit last changed it. Whoever
// changes one of the fields takes it away from davit, and whoever applies as davit moves the time, so the hash
// tells a changed object without its values, which webhooks may fill differently each time.
func ownedFields(o metav1.Object) string {
	e := ownEntry(o)
	if e == nil || e.FieldsV1 == nil {
		return ""
	}
	h := sha256.New()
	h.Write(e.FieldsV1.GetRawBytes())
	if e.Time != nil {
		_ = binary.Write(h, binary.BigEndian, e.Time.Unix())
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

func ownEntry(o metav1.Object) *metav1.ManagedFieldsEntry { return applyEntry(o, Manager) }

func applyEntry(o metav1.Object, manager string) *metav1.ManagedFieldsEntry {
	entries := o.GetManagedFields()
	for i, e := range entries {
		if e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" {
			return &entries[i]
		}
	}
	return nil
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

func ownsReplicas(o metav1.Object) bool {
	e := ownEntry(o)
	return e != nil && e.FieldsV1 != nil && bytes.Contains(e.FieldsV1.GetRawBytes(), []byte(`"f:replicas"`))
}

// handover is the field manager that holds a number of replicas until an autoscaler writes one.
const handover = Manager + "-handover"

// handOver makes a second manager own the present number of replicas. Otherwise giving the field up would
// remove it, and the API server's default of 1 would stop all replicas but one.
func (c *Cluster) handOver(ctx context.Context, m *member) error {
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	live, err := client.Get(ctx, m.ref.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading replicas of %s: %w", m.ref, err)
	}
	replicas, _, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	_, err = c.applyAsHandover(ctx, m, map[string]any{"spec": map[string]any{"replicas": replicas}})
	if err != nil {
		return fmt.Errorf("handing over replicas of %s: %w", m.ref, err)
	}
	return nil
}

// endHandOver takes from that manager what it holds, after davit has the field again.
func (c *Cluster) endHandOver(ctx context.Context, m *member) (*metav1.PartialObjectMetadata, error) {
	got, err := c.applyAsHandover(ctx, m, map[string]any{})
	if err != nil {
		return nil, fmt.Errorf("taking back replicas of %s: %w", m.ref, err)
	}
	return got, nil
}

func (c *Cluster) applyAsHandover(ctx context.Context, m *member, object map[string]any) (*metav1.PartialObjectMetadata, error) {
	object["apiVersion"], object["kind"] = m.object.GetAPIVersion(), m.object.GetKind()
	object["metadata"] = map[string]any{"name": m.ref.Name}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	opts := applyOptions()
	opts.FieldManager = handover
	return m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
}
