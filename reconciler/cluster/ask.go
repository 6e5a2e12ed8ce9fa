package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Ask changes what a person may change of a release, its suspension and its request, whoever owns it. When somebody
// wrote mr meanwhile, it is read and changed again.
func (c *Cluster) Ask(ctx context.Context, mr *v1alpha1.ModelRelease, change func(*v1alpha1.ModelReleaseSpec)) error {
	for range 5 {
		asked := mr.DeepCopy()
		change(&asked.Spec)
		_, err := c.send(ctx, c.releases.Put().Name(mr.Name), asked)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("writing ModelRelease %s/%s: %w", mr.Namespace, mr.Name, err)
		}
		fresh, err := c.Release(ctx, mr.Namespace, mr.Spec.Environment, mr.Spec.Release)
		if err != nil {
			return err
		}
		if fresh == nil {
			return fmt.Errorf("ModelRelease %s/%s is gone", mr.Namespace, mr.Name)
		}
		mr = fresh
	}
	return fmt.Errorf("writing ModelRelease %s/%s: %w", mr.Namespace, mr.Name, ErrConflict)
}
