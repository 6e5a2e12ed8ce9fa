package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"
)

// head is the descriptor of the manifest at ref, or nil when there is none.
func (b *Builder) head(ctx context.Context, ref name.Reference) (*v1.Descriptor, error) {
	desc, err := b.puller.Load().Head(ctx, ref)
	status, ok := errors.AsType[*transport.Error](err)
	if ok && status.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		// The puller keeps the credentials it began with, and some live only for hours.
		return nil, errors.Join(fmt.Errorf("looking for %s: %w", ref, err), b.renewPuller())
	}
	return desc, nil
}

func (b *Builder) renewPuller() error {
	p, err := remote.NewPuller(b.options...)
	if err == nil {
		b.puller.Store(p)
	}
	return err
}

// maxVersions is how many other versions are looked through for layers in common.
const maxVersions = 64

// knownLayers are the layers that other versions in repo have, by their key. It saves reading and
// uploading only, so what can't be read is passed over.
func (b *Builder) knownLayers(ctx context.Context, repo name.Repository) map[string]v1.Descriptor {
	puller := b.puller.Load()
	tags, err := puller.List(ctx, repo)
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	known := map[string]v1.Descriptor{}
	var g errgroup.Group
	g.SetLimit(cap(b.jobs))
	versions := 0
	for _, tag := range tags {
		if !strings.HasPrefix(tag, fmt.Sprintf("v%d-", LayoutVersion)) {
			continue
		}
		if versions++; versions > maxVersions {
			break
		}
		g.Go(func() error {
			layers := b.layers(ctx, repo.Tag(tag))
			mu.Lock()
			defer mu.Unlock()
			for _, l := range layers {
				known[l.Annotations[keyAnnotation]] = l
			}
			return nil
		})
	}
	g.Wait()
	return known
}

// layers are those of an image that this Builder relies on; none when it can't be read, or lacks its signature.
func (b *Builder) layers(ctx context.Context, ref name.Reference) []v1.Descriptor {
	desc, err := b.puller.Load().Get(ctx, ref)
	if err != nil {
		return nil
	}
	if b.cfg.Key != nil {
		if ok, err := b.own(ctx, ref.Context().Digest(desc.Digest.String())); err != nil || !ok {
			return nil
		}
	}
	m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return nil
	}
	return m.Layers
}
