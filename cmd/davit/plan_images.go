package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
	"github.com/davit-dev/davit/registry/image"
)

// imagesAsked asks the OCI registry what a plan can't know of images. Its methods may be called concurrently.
type imagesAsked struct {
	builder *image.Builder
	prefix  string

	mu      sync.Mutex
	failure error
}

func (a *app) askImages(models *registry.Registry) (*imagesAsked, error) {
	builder, err := a.images(nil, nil)
	return &imagesAsked{builder: builder, prefix: models.Spec.Images}, err
}

// err is why the registry could not be asked.
func (i *imagesAsked) err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failure
}

func (i *imagesAsked) failed(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failure == nil {
		i.failure = fmt.Errorf("asking the OCI registry: %w; without --images nobody is asked", err)
	}
}

func (i *imagesAsked) find(ctx context.Context, v *registry.ModelVersion) (ref string, err error) {
	result, found, err := i.builder.Find(ctx, i.prefix+"/"+v.Model, v)
	if err != nil || !found {
		return "", err
	}
	return result.Ref, nil
}

func (i *imagesAsked) built(ctx context.Context, v *registry.ModelVersion) (digest string, known bool) {
	ref, err := i.find(ctx, v)
	if err != nil {
		i.failed(err)
		return "", false
	}
	_, digest, _ = strings.Cut(ref, "@")
	return digest, true
}

func (i *imagesAsked) signed(ctx context.Context, r *registry.Release) (gate.State, string) {
	ref, err := i.find(ctx, r.ModelVersion)
	switch {
	case err != nil:
		i.failed(err)
		return gate.Unknown, "the OCI registry could not be asked"
	case ref == "":
		return gate.Unknown, fmt.Sprintf("%s is not built yet; davit build, or the controller, signs it with its own key", r.ModelVersion)
	}
	wants := r.Environment.Spec.Images
	policy := image.Policy{Provenance: wants.Provenance}
	if policy.Keys, err = image.ParsePublicKeys([]byte(strings.Join(wants.Keys, "\n"))); err != nil {
		return gate.Failed, fmt.Sprintf("%s: images.keys: %v", r.Environment.Path, err)
	}
	err = i.builder.Verify(ctx, ref, r.ModelVersion, policy)
	if unsigned, is := errors.AsType[*image.UnsignedError](err); is {
		return gate.Failed, unsigned.Error()
	} else if err != nil {
		i.failed(err)
		return gate.Unknown, "the OCI registry could not be asked"
	}
	return gate.Passed, "signed by a key of images.keys"
}
