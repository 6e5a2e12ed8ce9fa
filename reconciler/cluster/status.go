package cluster

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// WriteStatus writes mr's status on the condition that nobody wrote mr since it was read: otherwise
// ErrConflict, and nothing is written. A second write narrows the ApplySet's kinds, if the release settled
// with fewer than it may hold. It returns mr as the cluster has it now and leaves its argument alone.
func (c *Cluster) WriteStatus(ctx context.Context, mr *v1alpha1.ModelRelease) (*v1alpha1.ModelRelease, error) {
	subject := fmt.Sprintf("writing status of %s/%s", mr.Namespace, mr.Name)
	out, err := c.send(ctx, c.releases.Put().Name(mr.Name).SubResource("status"), mr.DeepCopy())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	kinds, settled := inventoryKinds(out)
	if !settled || kinds == out.Annotations[applySetGroupKinds] {
		return out, nil
	}
	out.Annotations[applySetGroupKinds] = kinds
	if out, err = c.send(ctx, c.releases.Put().Name(out.Name), out); err != nil {
		return nil, fmt.Errorf("%s: narrowing kinds: %w", subject, err)
	}
	return out, nil
}

// inventoryKinds are the kinds mr holds. Not settled means that an apply may be under way or objects wait to
// be pruned, so that the recorded kinds must stay.
func inventoryKinds(mr *v1alpha1.ModelRelease) (kinds string, settled bool) {
	settled = !mr.Pending() && mr.Annotations[applySetGroupKinds] != ""
	var all []schema.GroupKind
	for _, ref := range mr.Status.Inventory {
		all = append(all, ref.GroupKind())
		settled = settled && !ref.Stale
	}
	// Phase Progressing may follow an apply that stopped half way, with objects the inventory lacks.
	settled = settled && mr.Status.Phase != v1alpha1.Progressing
	return joinKinds(all), settled
}
