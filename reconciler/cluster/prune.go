package cluster

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Prune deletes the objects of mr's inventory that keep does not have, or has as stale, routes first. An
// object that was replaced, has a controller, or bears another release's label is no longer ours: it is
// skipped and leaves the inventory, and so is every Namespace, CRD and PersistentVolumeClaim. Deleting goes
// on in the background. The ChangeSet's Inventory lists what is left, also after an error.
func (c *Cluster) Prune(ctx context.Context, mr *v1alpha1.ModelRelease, keep []v1alpha1.ObjectRef) (ChangeSet, error) {
	var set ChangeSet
	var members []*member
	for _, ref := range mr.Status.Inventory {
		if kept, ok := find(keep, ref); ok && !kept.Stale {
			set.Inventory = append(set.Inventory, kept)
			continue
		}
		members = append(members, &member{ref: ref, stage: stage(ref.GroupKind())})
	}
	for s := stages - 1; s >= 0; s-- {
		var work sync.WaitGroup
		for _, m := range members {
			if m.stage == s {
				work.Go(func() { m.err = c.write(ctx, func() error { return c.pruneOne(ctx, mr, m) }) })
			}
		}
		work.Wait()
	}
	for _, m := range members {
		if m.action == "" {
			set.Inventory = append(set.Inventory, m.ref)
		} else {
			set.Changes = append(set.Changes, Change{Ref: m.ref, Action: m.action})
		}
	}
	sortRefs(set.Inventory)
	return set, failure(members)
}

// pruneTries bounds how often a delete is sent again because a status update moved the resourceVersion.
const pruneTries = 5

func (c *Cluster) pruneOne(ctx context.Context, mr *v1alpha1.ModelRelease, m *member) error {
	if neverPruned(m.ref.GroupKind()) {
		m.action = Skipped
		return nil
	}
	client, err := c.meta(mr.Namespace, m.ref.GroupVersionKind())
	if meta.IsNoMatchError(err) {
		m.action = Deleted // the kind is gone, and its objects with it
		return nil
	}
	for range pruneTries {
		if err == nil {
			m.action, err = deleteOurs(ctx, client, mr, m.ref)
		}
		if !apierrors.IsConflict(err) {
			break
		}
		err = nil
	}
	if err == nil && m.action == "" {
		err = ErrConflict
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", m.ref, err)
	}
	return nil
}

func deleteOurs(ctx context.Context, client metadata.ResourceInterface, mr *v1alpha1.ModelRelease, ref v1alpha1.ObjectRef) (Action, error) {
	live, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Deleted, nil
	}
	if err != nil {
		return "", err
	}
	if ref.UID != "" && live.UID != ref.UID || live.Labels[applySetPartOf] != setID(mr) || metav1.GetControllerOf(live) != nil {
		return Skipped, nil
	}
	if live.DeletionTimestamp != nil {
		return Deleted, nil
	}
	background := metav1.DeletePropagationBackground
	err = client.Delete(ctx, ref.Name, metav1.DeleteOptions{
		PropagationPolicy: &background,
		Preconditions:     &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	return Deleted, nil
}

// Delete deletes what mr's inventory lists, and then mr, unless somebody wrote it meanwhile: ErrConflict.
func (c *Cluster) Delete(ctx context.Context, mr *v1alpha1.ModelRelease) error {
	if err := c.Empty(ctx, mr); err != nil {
		return err
	}
	err := c.write(ctx, func() error {
		return c.releases.Delete().Namespace(mr.Namespace).Resource(v1alpha1.Resource).Name(mr.Name).
			Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &mr.UID, ResourceVersion: &mr.ResourceVersion}}).
			Do(ctx).Error()
	})
	switch {
	case err == nil || apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return fmt.Errorf("deleting ModelRelease %s: %w: %w", mr.Name, ErrConflict, err)
	}
	return fmt.Errorf("deleting ModelRelease %s: %w", mr.Name, err)
}

// Empty deletes what mr's inventory lists and leaves mr, as one that was claimed for nothing yet. It claims mr first, so that
// nothing is deleted of a release that another controller has claimed since; mr takes the claim over.
func (c *Cluster) Empty(ctx context.Context, mr *v1alpha1.ModelRelease) error {
	if c.owner == "" {
		return errNoOwner
	}
	if o := mr.Spec.Owner; !c.mayTake(o) {
		return fmt.Errorf("deleting %s: %w", mr.Name, &ErrOtherOwner{Owner: o})
	}
	claimed := mr.DeepCopy()
	claimed.Spec.Owner, claimed.Spec.Claim.Holder, claimed.Spec.Claim.Time = c.owner, c.holder, metav1.Now()
	claimed.Spec.Claim.Token++
	c.claims.Store(mr.Namespace+"/"+mr.Name, mr.Generation+1)
	claimed, err := c.send(ctx, c.releases.Put().Name(mr.Name), claimed)
	if apierrors.IsNotFound(err) {
		claimed, err = mr, nil // its objects may be there still
	}
	if err != nil {
		return fmt.Errorf("deleting ModelRelease %s: %w", mr.Name, err)
	}
	claimed.Status = mr.Status // it may know more than was written
	*mr = *claimed
	if err := c.recover(ctx, mr, groupKinds(mr)); err != nil { // and less than was applied
		return fmt.Errorf("deleting ModelRelease %s: %w", mr.Name, err)
	}
	_, err = c.Prune(ctx, mr, nil)
	return err
}
