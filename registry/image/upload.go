package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

// upload is one build's way into the OCI registry.
type upload struct {
	builder    *Builder
	pusher     *remote.Pusher
	repo       name.Repository
	version    *registry.ModelVersion
	fsys       fs.FS
	read, sent atomic.Int64 // bytes
}

// layer streams one file, or finds its layer there.
func (u *upload) layer(ctx context.Context, l *layer) error {
	err := u.blob(ctx, l)
	if err == nil { // remembered at once: should another layer fail, a next attempt does not upload this one again
		return u.remember(l)
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

// remember notes where a layer is.
func (u *upload) remember(l *layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	u.builder.remember(u.repo, v1.Descriptor{
		MediaType: types.OCIUncompressedLayer, Size: l.size, Digest: digest, Annotations: map[string]string{keyAnnotation: layerKey(l.file)},
	})
	return nil
}

// blob uploads a blob that is not there: as it streams, or whole where the OCI registry wants that.
func (u *upload) blob(ctx context.Context, blob v1.Layer) error {
	if _, whole := u.builder.whole.Load(u.repo.RegistryStr()); whole {
		return u.putWhole(ctx, blob)
	}
	sent := blob
	if l, ok := blob.(*layer); ok && l.from != (name.Digest{}) {
		sent = &remote.MountableLayer{Layer: l, Reference: l.from}
	}
	err := u.pusher.Upload(ctx, u.repo, sent)
	if !refusesChunks(err) {
		return err
	}
	u.builder.whole.Store(u.repo.RegistryStr(), true)
	return u.putWhole(ctx, blob)
}

// sign attaches a signature and a provenance. Both are there before the image has its tag, so that no crash leaves one
// that looks built and is not signed.
func (u *upload) sign(ctx context.Context, image v1.Descriptor) error {
	key := u.builder.cfg.Key
	if key == nil {
		return nil
	}
	if err := u.blob(ctx, emptyJSON); err != nil {
		return err
	}
	for predicateType, predicate := range map[string]any{signatureType: struct{}{}, provenanceType: u.builder.provenance(u.fsys, u.version)} {
		blob, m, err := key.attest(image, predicateType, predicate)
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		if err := u.blob(ctx, blob); err != nil {
			return err
		}
		d, err := m.descriptor()
		if err != nil {
			return err
		}
		if err := u.pusher.Put(ctx, u.repo.Digest(d.Digest.String()), m); err != nil {
			return err
		}
	}
	return nil
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
		if err := u.blob(ctx, blob); err != nil {
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
	if err := u.sign(ctx, image); err != nil {
		return v1.Hash{}, err
	}
	if err := u.pusher.Put(ctx, u.repo.Tag(Tag(u.version)), m); err != nil {
		return v1.Hash{}, err
	}
	u.sent.Add(described.Size + image.Size)
	return image.Digest, nil
}
