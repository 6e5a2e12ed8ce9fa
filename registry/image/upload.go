package image

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/registry"
)

// upload is one build's way into the OCI registry.
type upload struct {
	pusher     *remote.Pusher
	repo       name.Repository
	version    *registry.ModelVersion
	read, sent atomic.Int64 // bytes
}

// layer streams one file, or finds its layer there.
func (u *upload) layer(ctx context.Context, l *layer) error {
	err := u.pusher.Upload(ctx, u.repo, l)
	if err == nil {
		return nil
	}
	// What was wrong with the source is told by the layer: the transport may report a broken pipe instead.
	fault := l.fault()
	if fault == nil {
		return fmt.Errorf("uploading %q of %s to %s: %w", l.file.Path, u.version, u.repo, err)
	}
	if content, ok := errors.AsType[*ContentError](fault); ok {
		return &ContentError{Path: u.version.Path, File: l.file.Path, Err: content.Err}
	}
	return fmt.Errorf("%s: file %q: %w", u.version.Path, l.file.Path, fault)
}

// publish puts the image's config, the ModelPack manifest over the same layers, and the image. The image comes last and
// under the tag at once, so that it is seen whole or not at all; the other may name it before it is there (OCI
// distribution spec, "subject").
func (u *upload) publish(ctx context.Context, layers []*layer) (v1.Hash, error) {
	config, m, err := assemble(layers)
	if err != nil {
		return v1.Hash{}, err
	}
	image, err := m.descriptor()
	if err != nil {
		return v1.Hash{}, err
	}
	about, model, err := modelManifest(u.version, layers, image)
	if err != nil {
		return v1.Hash{}, err
	}
	described, err := model.descriptor()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, blob := range []v1.Layer{config, about} {
		if err := u.pusher.Upload(ctx, u.repo, blob); err != nil {
			return v1.Hash{}, err
		}
		size, err := blob.Size()
		if err != nil {
			return v1.Hash{}, err
		}
		u.sent.Add(size)
	}
	if err := u.pusher.Put(ctx, u.repo.Digest(described.Digest.String()), model); err != nil {
		return v1.Hash{}, err
	}
	if err := u.pusher.Put(ctx, u.repo.Tag(Tag(u.version)), m); err != nil {
		return v1.Hash{}, err
	}
	u.sent.Add(described.Size + image.Size)
	return image.Digest, nil
}
