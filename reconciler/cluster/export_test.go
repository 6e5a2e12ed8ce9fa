package cluster

import (
	"context"

	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ReleasesBy is Releases with pages of a size.
func (c *Cluster) ReleasesBy(ctx context.Context, size int) ([]*v1alpha1.ModelRelease, error) {
	return c.releasesBy(ctx, size)
}

// Near is near.
func Near(cfg *rest.Config) bool { return near(cfg) }
