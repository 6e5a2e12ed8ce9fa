package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Plan tells what Apply and Prune would do, by a dry run on the API server, defaults and webhooks included.
// Nothing is written. Changes tell the fields, live and as they would be. Its errors are Apply's; an object that is
// somebody else's and Adoptable is among the Changes all the same, as Config.Adopt would leave it. Of mr only namespace,
// name and inventory count; it need not exist. Of the options OnImmutable counts. The ChangeSet's Inventory is empty.
func (c *Cluster) Plan(ctx context.Context, mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured, opts ApplyOptions) (ChangeSet, error) {
	members, err := c.members(mr, objects)
	if err != nil {
		return ChangeSet{}, err
	}
	var work sync.WaitGroup
	for _, m := range members {
		m.sealed, m.opts = c.unseal(ctx, m), opts
		work.Go(func() { m.err = c.write(ctx, func() error { return c.planOne(ctx, m) }) })
	}
	work.Wait()
	set := applied(mr, members)
	for _, ref := range set.Inventory {
		if ref.Stale && !neverPruned(ref.GroupKind()) {
			set.Changes = append(set.Changes, Change{Ref: ref, Action: Deleted})
		}
	}
	set.Inventory = nil
	return set, failure(members)
}

func (c *Cluster) planOne(ctx context.Context, m *member) error {
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	live, err := client.Get(ctx, m.ref.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading %s: %w", m.ref, err)
	}
	exists := err == nil
	var conflict *ConflictError
	if exists && live.GetUID() != m.recorded.UID {
		if conflict = m.foreign(live); conflict != nil && !conflict.Adoptable {
			return conflict
		}
	}
	if m.sealed != nil {
		if conflict != nil && !c.adopt {
			return conflict
		}
		return m.planSealed(live, exists)
	}
	body, err := json.Marshal(m.object.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	opts := applyOptions()
	opts.DryRun = []string{metav1.DryRunAll}
	dryRun := func() (*unstructured.Unstructured, error) {
		return client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
	}
	planned, err := dryRun()
	for range pruneTries { // its controller may write it meanwhile
		if !exists || err != nil || planned.GetResourceVersion() == live.GetResourceVersion() {
			break
		}
		if live, err = client.Get(ctx, m.ref.Name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("reading %s: %w", m.ref, err)
		}
		planned, err = dryRun()
	}
	for range pruneTries {
		if conflict == nil || err != nil {
			break
		}
		adopted, failed := planAdopted(ctx, client, planned)
		if !apierrors.IsConflict(failed) {
			planned, err = adopted, failed
			break
		}
		planned, err = dryRun()
	}
	switch {
	case apierrors.IsNotFound(err): // the namespace is still to be created
		m.action = Created
		return nil
	case immutable(err) && m.opts.OnImmutable == Recreate && replaceable(m.ref.GroupKind()):
		m.action = Recreated
		if conflict != nil && !c.adopt {
			return conflict
		}
	case immutable(err):
		return m.unchangeable(err)
	case err != nil:
		return refusal(m.ref, err)
	case conflict != nil:
		unmark(live) // that the marks go is understood
		m.differs(live, planned)
		if !c.adopt {
			return conflict
		}
	case !exists:
		m.action = Created
	case reflect.DeepEqual(settled(live), settled(planned)):
		m.action = Unchanged
	default:
		m.differs(live, planned)
	}
	return nil
}

// differs records what a write would change.
func (m *member) differs(live, planned *unstructured.Unstructured) {
	m.action = Configured
	d := differ{secret: m.ref.GroupKind() == kindSecret}
	d.maps(nil, settled(live), settled(planned))
	m.fields = d.found
}

// settled is o without what a write changes by itself, and what its controllers write of it meanwhile.
func settled(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	delete(o.Object, "status")
	return o.Object
}
