package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ApplyRun creates a run's objects, rendered ones of one namespace with one Job or JobSet among them. It may be called
// again: the Job or JobSet that is there is left as it is, whatever would be rendered today, since a run happens once.
//
// The Job comes last, so that what its pods mount and find each other by is there before them. Only then can the
// others name it as their owner, by which they go when it does: a second request each, and where that was not sent
// they stay until ApplyRun is called again or the Job's name is used again.
//
// Errors are those of [Cluster.Apply]: *RefusedError, *ConflictError for an object of that name that is not this
// run's, *BusyError for one that is being deleted, and others, which pass.
func (c *Cluster) ApplyRun(ctx context.Context, objects []*unstructured.Unstructured) error {
	job, others, err := c.runMembers(objects)
	if err != nil {
		return err
	}
	for s := range stages {
		for _, m := range others {
			if m.stage == s {
				m.err = c.write(ctx, func() error { return c.bringRun(ctx, m, nil) })
			}
		}
		if err := failure(others); err != nil {
			return err
		}
	}
	if err := c.write(ctx, func() error { return c.bringRun(ctx, job, nil) }); err != nil {
		return err
	}
	no := false
	owner := &metav1.OwnerReference{
		APIVersion: job.object.GetAPIVersion(), Kind: job.ref.Kind, Name: job.ref.Name, UID: job.ref.UID, BlockOwnerDeletion: &no,
	}
	for _, m := range others {
		m.err = c.write(ctx, func() error { return c.bringRun(ctx, m, owner) })
	}
	return failure(others)
}

func runKind(ref v1alpha1.ObjectRef) bool {
	return ref.GroupKind() == kindJob || ref.GroupKind() == kindJobSet
}

// runMembers prepares the objects. It sends nothing but discovery.
func (c *Cluster) runMembers(objects []*unstructured.Unstructured) (job *member, others []*member, err error) {
	for _, o := range objects {
		gvk := o.GroupVersionKind()
		m := &member{ref: v1alpha1.ObjectRef{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Name: o.GetName()}, stage: stage(gvk.GroupKind())}
		if m.mapping, err = c.mapping(gvk); err != nil {
			return nil, nil, fmt.Errorf("applying %s: %w", m.ref, err)
		}
		if o.GetNamespace() == "" || o.GetLabels()[LabelRun] == "" {
			return nil, nil, &RefusedError{m.ref, "it has no namespace or no label " + LabelRun}
		}
		if err := c.permitted(m.ref, m.mapping, o.GetNamespace(), objects[0].GetNamespace()); err != nil {
			return nil, nil, err
		}
		m.object = o.DeepCopy() // the given one is not changed
		encodeSecret(m.object)
		m.client = c.as.metadata.Resource(m.mapping.Resource).Namespace(o.GetNamespace())
		switch {
		case runKind(m.ref) && job != nil:
			return nil, nil, &RefusedError{m.ref, "a run has one Job or JobSet, and " + job.ref.String() + " is one already"}
		case runKind(m.ref):
			job = m
		default:
			others = append(others, m)
		}
	}
	if job == nil {
		return nil, nil, errors.New("applying a run: it has no Job or JobSet")
	}
	return job, others, nil
}

// bringRun creates an object unless it is there and the run's. With an owner it brings one that is there to what it
// should be, too, and makes it that owner's.
func (c *Cluster) bringRun(ctx context.Context, m *member, owner *metav1.OwnerReference) error {
	if err := c.unseal(ctx, m); err != nil {
		return err
	}
	if owner != nil {
		m.object.SetOwnerReferences([]metav1.OwnerReference{*owner})
	}
	owned := m.ref.UID
	for range bringTries {
		got, err := c.patch(ctx, m, owned)
		switch {
		case err == nil:
			m.ref.UID = got.UID
			return nil
		case !otherThanThought(err, owned):
			return refusal(m.ref, err)
		}
		live, err := m.client.Get(ctx, m.ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			owned = ""
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", m.ref, err)
		}
		if err := sameRun(m, live); err != nil {
			return err
		}
		owned = live.UID
		// Applied without its owner, an object would lose the one it has.
		if m.ref.UID = live.UID; owner == nil {
			return nil
		}
	}
	return fmt.Errorf("applying %s: others write it at the same time", m.ref)
}

// sameRun refuses an object that davit did not apply for this run.
func sameRun(m *member, live metav1.Object) error {
	if live.GetLabels()[LabelRun] != m.object.GetLabels()[LabelRun] || ownEntry(live) == nil {
		return &ConflictError{Ref: m.ref, Managers: managers(live), Why: "is there already and is not of run " + m.object.GetLabels()[LabelRun]}
	}
	if live.GetDeletionTimestamp() != nil {
		return &BusyError{m.ref, "is being deleted"}
	}
	return nil
}

// DeleteRun deletes a run's Job or JobSet, and by it all that is the run's. Nothing is wrong when there is none. It
// returns at once; the Job stays, as Deleting, until its pods have ended, so that no other of its name shares their
// checkpoints.
func (c *Cluster) DeleteRun(ctx context.Context, namespace, name string) error {
	r, err := c.Run(ctx, namespace, name)
	if err != nil || r == nil || r.Deleting {
		return err
	}
	client, ref, err := c.runClient(ctx, r)
	if err != nil {
		return fmt.Errorf("deleting run %s: %w", name, err)
	}
	foreground := metav1.DeletePropagationForeground
	err = c.write(ctx, func() error {
		return client.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &r.UID}})
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", ref, err)
	}
	return nil
}

func kindOfRun(r RunStatus) schema.GroupKind {
	if r.Kind == kindJobSet.Kind {
		return kindJobSet
	}
	return kindJob
}

func (c *Cluster) runClient(ctx context.Context, r *RunStatus) (metadata.ResourceInterface, string, error) {
	kind := kindOfRun(*r)
	m, err := c.anyMapping(kind)
	if err != nil {
		return nil, "", err
	}
	live := c.as.metadata.Resource(m.Resource).Namespace(r.Namespace)
	o, err := live.Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return live, r.Kind + "/" + r.Name, nil
	}
	if err == nil && o.UID == r.UID && ownEntry(o) == nil {
		err = &ConflictError{Ref: v1alpha1.ObjectRef{Group: kind.Group, Kind: kind.Kind, Name: r.Name}, Managers: managers(o), Why: "is not davit's"}
	}
	return live, r.Kind + "/" + r.Name, err
}
