package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Apply brings objects into mr's namespace by server-side apply, in stages, parallel within one, and never
// deletes. An object that mr's inventory records with the same content is looked up, and sent only if it was
// replaced or davit lost a field of it. A stage that had an error is finished and the next not begun; the
// ChangeSet tells what was done. An object refused for its content is a *RefusedError; every other error
// passes, as far as anyone can know.
func (c *Cluster) Apply(ctx context.Context, mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured) (ChangeSet, error) {
	members, err := c.members(mr, objects)
	if err != nil {
		return ChangeSet{Inventory: mr.Status.Inventory}, err
	}
	for s := range stages {
		var work sync.WaitGroup
		for _, m := range members {
			if m.stage == s {
				work.Go(func() { m.err = c.write(ctx, func() error { return c.applyOne(ctx, m) }) })
			}
		}
		work.Wait()
		if err = failure(members); err != nil {
			break
		}
	}
	return applied(mr, members), err
}

// member is one object on its way into the cluster. Each is worked on by one goroutine.
type member struct {
	ref      v1alpha1.ObjectRef
	recorded v1alpha1.ObjectRef
	stage    int
	object   *unstructured.Unstructured
	mapping  *meta.RESTMapping
	client   metadata.ResourceInterface
	action   Action // empty: not tried
	err      error
}

// members prepares objects: kinds looked up, namespace and ApplySet set, content hashed. It sends nothing but
// discovery.
func (c *Cluster) members(mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured) ([]*member, error) {
	var members []*member
	for _, o := range objects {
		gvk := o.GroupVersionKind()
		m := &member{
			ref:   v1alpha1.ObjectRef{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: o.GetName()},
			stage: stage(gvk.GroupKind()),
		}
		mapping, err := c.mapping(gvk)
		if err != nil {
			return nil, fmt.Errorf("applying %s: %w", m.ref, err)
		}
		if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
			return nil, &RefusedError{m.ref, "it is cluster-wide, and a release holds namespaced objects only"}
		}
		if ns := o.GetNamespace(); ns != "" && ns != mr.Namespace {
			return nil, &RefusedError{m.ref, fmt.Sprintf("it is in namespace %s, and its release in %s", ns, mr.Namespace)}
		}
		m.object = o.DeepCopy()
		m.object.SetNamespace(mr.Namespace)
		labels := m.object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[applySetPartOf] = setID(mr)
		m.object.SetLabels(labels)
		m.mapping = mapping
		m.client = c.metadata.Resource(mapping.Resource).Namespace(mr.Namespace)
		if m.ref.Hash, err = hash(m.object.Object); err != nil {
			return nil, fmt.Errorf("hashing %s: %w", m.ref, err)
		}
		m.recorded, _ = find(mr.Status.Inventory, m.ref)
		members = append(members, m)
	}
	return members, nil
}

func (c *Cluster) applyOne(ctx context.Context, m *member) error {
	var live *metav1.PartialObjectMetadata
	if m.recorded.Hash == m.ref.Hash || givesUpReplicas(m.object) && m.recorded.UID != "" {
		var err error
		if live, err = m.client.Get(ctx, m.ref.Name, metav1.GetOptions{}); err != nil {
			live = nil // not there, or unreadable: the apply will tell
		}
	}
	if live != nil && m.recorded.Hash == m.ref.Hash && live.UID == m.recorded.UID && ownedFields(live) == m.recorded.Fields {
		m.ref, m.action = m.recorded, Unchanged
		m.ref.Stale = false
		return nil
	}
	if live != nil && givesUpReplicas(m.object) && ownsReplicas(live) {
		if err := c.handOver(ctx, m); err != nil {
			return err
		}
	}
	body, err := json.Marshal(m.object.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	got, err := m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, applyOptions())
	if err != nil {
		return refusal(m.ref, err)
	}
	m.ref.UID, m.ref.Generation, m.ref.Fields = got.UID, got.Generation, ownedFields(got)
	switch {
	case live != nil && live.ResourceVersion == got.ResourceVersion:
		m.action = Unchanged
	case m.recorded.UID != got.UID && isNew(got):
		m.action = Created
	default:
		m.action = Configured
	}
	return nil
}

// failure is a refusal if there is one, since that will not pass, or all errors.
func failure(members []*member) error {
	var errs []error
	for _, m := range members {
		var refused *RefusedError
		if errors.As(m.err, &refused) {
			return m.err
		}
		errs = append(errs, m.err)
	}
	return errors.Join(errs...)
}

func applied(mr *v1alpha1.ModelRelease, members []*member) ChangeSet {
	var set ChangeSet
	var rendered []v1alpha1.ObjectRef
	for _, m := range members {
		rendered = append(rendered, m.ref)
		switch {
		case m.action != "":
			set.Changes = append(set.Changes, Change{m.ref, m.action})
			set.Inventory = append(set.Inventory, m.ref)
		case m.recorded.Name != "":
			set.Inventory = append(set.Inventory, m.recorded)
		}
	}
	for _, ref := range mr.Status.Inventory {
		if _, ok := find(rendered, ref); !ok {
			ref.Stale = true
			set.Inventory = append(set.Inventory, ref)
		}
	}
	sortRefs(set.Inventory)
	return set
}

// hash is of v's JSON, whose keys encoding/json sorts.
func hash(v any) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:10]), nil
}
