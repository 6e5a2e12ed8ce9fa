package cluster

import (
	"context"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ReleasesBy is Releases with pages of a size.
func (c *Cluster) ReleasesBy(ctx context.Context, size int) ([]*v1alpha1.ModelRelease, error) {
	return c.releasesBy(ctx, size)
}
