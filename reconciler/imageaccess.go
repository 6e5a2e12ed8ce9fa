package reconciler

import (
	"context"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// images is a builder with a ModelRegistry's access to OCI registries. Its Secret is read when a registry is reached, so that
// a changed one counts without a restart; one that is not there is told by what can't be had without it.
func (cfg ControllerConfig) images(mr *v1alpha1.ModelRegistry) (*image.Builder, error) {
	if mr.Spec.Images == nil || mr.Spec.Images.Secret == "" {
		return cfg.Images, nil
	}
	secret := &recent[image.RegistryAccess]{news: cfg.secrets, read: func(ctx context.Context) (image.RegistryAccess, error) {
		return cfg.Cluster.Secrets(ctx, mr.Namespace, mr.Spec.Images.Secret)
	}}
	return cfg.Images.With(secret.get)
}
