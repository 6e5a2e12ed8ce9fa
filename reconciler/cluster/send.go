package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// applyOne brings one object into the cluster with as few requests as what is known of it allows: none, or one
// apply whose precondition fails when the knowledge was wrong.
func (c *Cluster) applyOne(ctx context.Context, m *member) error {
	seen, known := c.seen(m)
	if m.superseded(c.watcher.Load()) {
		m.recorded.Hash = "" // the inventory is older than what was sent
	}
	if known && m.untouched(seen) {
		m.unchanged()
		return nil
	}
	if known && seen == nil {
		m.owned = "" // it is gone
	}
	return c.write(ctx, func() error {
		if !known && m.recorded.UID != "" && (m.recorded.Hash == m.ref.Hash || givesUpReplicas(m.object)) {
			// Not there, or unreadable: the apply will tell.
			if live, err := m.client.Get(ctx, m.ref.Name, metav1.GetOptions{}); err == nil {
				if seen = track(live); m.untouched(seen) {
					m.unchanged()
					return nil
				}
			}
		}
		if err := c.unseal(ctx, m); err != nil {
			return err
		}
		return c.bring(ctx, m, seen)
	})
}

// seen is what a running Watcher has of the object.
func (c *Cluster) seen(m *member) (*tracked, bool) {
	if w := c.watcher.Load(); w != nil {
		return w.ensure(m.ref.GroupKind()).look(m.object.GetNamespace(), m.ref.Name)
	}
	return nil, false
}

// superseded says that davit has sent other content since the inventory was recorded.
func (m *member) superseded(w *Watcher) bool {
	if w == nil {
		return false
	}
	sent := w.ensure(m.ref.GroupKind()).sent(m.object.GetNamespace(), m.ref.Name)
	return sent != "" && sent != m.recorded.Hash
}

// untouched says that the object is what was sent last, and that is what is to be sent.
func (m *member) untouched(t *tracked) bool {
	return t != nil && !t.deleting && m.recorded.Hash == m.ref.Hash && t.uid == m.recorded.UID && t.part == m.set &&
		(t.fields == m.recorded.Fields || t.ignore)
}

func (m *member) unchanged() {
	m.ref, m.action = m.recorded, Unchanged
	m.ref.Stale = false
}

// bringTries bounds how often an object may turn out to be other than thought, while others write it too.
const bringTries = 4

// bring applies the object. seen is what it was, or nil if that is not known.
func (c *Cluster) bring(ctx context.Context, m *member, seen *tracked) error {
	var last error
	absorbed := false
	owned := m.owned
	for range bringTries {
		if seen != nil && seen.deleting && seen.uid == owned {
			return &BusyError{m.ref, "is being deleted"}
		}
		if seen != nil && givesUpReplicas(m.object) && seen.replicasOwned {
			if err := c.handOver(ctx, m); err != nil {
				return err
			}
		}
		got, err := c.patch(ctx, m, owned)
		last = err
		switch {
		case err == nil:
			return c.done(ctx, m, seen, got, owned == "")
		case otherThanThought(err, owned):
			live, err := m.client.Get(ctx, m.ref.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				owned, seen = "", nil
				continue
			}
			if err != nil {
				return fmt.Errorf("reading %s: %w", m.ref, err)
			}
			if err := c.mine(ctx, m, live); err != nil || m.action != "" {
				return err
			}
			owned, seen = live.UID, track(live)
		case immutable(err):
			return c.replace(ctx, m, err)
		case refused(err) && !absorbed && owned != "" && m.recorded.Hash == m.ref.Hash:
			// The same was accepted before, so it is for what others did to the object.
			absorbed = true
			if err := c.absorb(ctx, m); err != nil {
				return err
			}
		default:
			return refusal(m.ref, err)
		}
	}
	return fmt.Errorf("applying %s: %w: %w", m.ref, ErrConflict, last)
}

// absentVersion is a resourceVersion no object has (etcd's first write is revision 2). With it, an apply
// creates the object, and fails with 409 if there is one: one request where a look and an apply would be two.
const absentVersion = "1"

// patch applies the object if its UID is still owned; empty: if there is none. Fields that others own are taken
// back by a second request, so that it is known whose they were.
func (c *Cluster) patch(ctx context.Context, m *member, owned types.UID) (*metav1.PartialObjectMetadata, error) {
	o := m.object
	object := *o // its metadata is changed, so that much is copied
	object.Object = shallow(o.Object)
	if owned == "" {
		object.SetResourceVersion(absentVersion)
	} else {
		object.SetUID(owned)
	}
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	opts := applyOptions()
	force := false
	opts.Force = &force
	got, err := m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
	if from, _, is := contested(err); is {
		m.from = append(m.from, from...)
		force = true
		got, err = m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
	}
	return got, err
}

// shallow copies o and its metadata.
func shallow(o map[string]any) map[string]any {
	out := make(map[string]any, len(o))
	for key, value := range o {
		out[key] = value
	}
	if meta, ok := o["metadata"].(map[string]any); ok {
		copied := make(map[string]any, len(meta)+1)
		for key, value := range meta {
			copied[key] = value
		}
		out["metadata"] = copied
	}
	return out
}

// otherThanThought says that an apply failed for its precondition: the object exists and should not, does not
// and should, or is another one.
func otherThanThought(err error, owned types.UID) bool {
	if _, _, is := contested(err); is {
		return false
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return true
	}
	status, ok := err.(apierrors.APIStatus)
	if !ok || owned == "" || !apierrors.IsInvalid(err) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == "metadata.uid" {
			return true
		}
	}
	return false
}

// done records what an apply left.
func (c *Cluster) done(ctx context.Context, m *member, seen *tracked, got *metav1.PartialObjectMetadata, created bool) error {
	if applyEntry(got, handover) != nil && !givesUpReplicas(m.object) {
		var err error
		if got, err = c.endHandOver(ctx, m); err != nil {
			return err
		}
	}
	if w := c.watcher.Load(); w != nil {
		if k := w.ensure(m.ref.GroupKind()); k != nil {
			k.wrote(got, m.ref.Hash)
		}
	}
	if got.DeletionTimestamp != nil {
		return &BusyError{m.ref, "is being deleted"}
	}
	m.ref.UID, m.ref.Generation, m.ref.Fields = got.UID, got.Generation, ownedFields(got)
	switch {
	case created:
		m.action = Created
	case seen != nil && seen.version == got.ResourceVersion:
		m.action = Unchanged
	default:
		m.action = Configured
	}
	return nil
}

// mine takes an object that was not known to be davit's: one that an apply left which was never recorded, or one
// that is adopted. Any other is an error.
func (c *Cluster) mine(ctx context.Context, m *member, live *metav1.PartialObjectMetadata) error {
	if live.DeletionTimestamp != nil {
		return &BusyError{m.ref, "is being deleted"}
	}
	conflict := m.foreign(live)
	switch {
	case conflict == nil:
		return nil
	case !conflict.Adoptable:
		return conflict
	case !c.adopt:
		return c.contest(ctx, m, conflict)
	}
	return c.adoptOne(ctx, m)
}

// foreign says whose an object is that the inventory does not have; nil when it is the release's.
func (m *member) foreign(live metav1.Object) *ConflictError {
	part, owner := live.GetLabels()[applySetPartOf], metav1.GetControllerOfNoCopy(live)
	conflict := &ConflictError{Ref: m.ref, Managers: managers(live)}
	switch {
	case part == m.set || part == "" && ownEntry(live) != nil:
		return nil
	case part != "":
		conflict.Why = "belongs to another release (ApplySet " + part + ")"
	case owner != nil:
		conflict.Why = fmt.Sprintf("is controlled by %s %s", owner.Kind, owner.Name)
	default:
		conflict.Adoptable = true
	}
	return conflict
}

// contest asks, without writing, on which fields davit disagrees with the managers.
func (c *Cluster) contest(ctx context.Context, m *member, conflict *ConflictError) error {
	body, err := json.Marshal(m.object.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	opts := applyOptions()
	force := false
	opts.Force, opts.DryRun = &force, []string{metav1.DryRunAll}
	_, err = m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
	_, conflict.Fields, _ = contested(err)
	return conflict
}
