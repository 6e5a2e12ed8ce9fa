package image

import (
	"context"
	"path"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/davit-dev/davit/registry"
)

// place is where a layer is.
type place struct {
	repo name.Repository
	desc v1.Descriptor
}

// elsewhere finds a layer in other repositories of the same OCI registry, from which it can be mounted: in those that
// this Builder has built in, and, with a key, in the images it has signed that are a file's source. What anybody else says
// of a layer is not believed: it is read and checked.
func (b *Builder) elsewhere(ctx context.Context, repo name.Repository, f registry.File, key string) (place, bool) {
	if found, ok := b.places.Load(repo.RegistryStr() + " " + key); ok {
		return found.(place), true
	}
	ref, _, err := parseOCI(f.Source)
	if err != nil || b.cfg.Key == nil || ref.RegistryStr() != repo.RegistryStr() || path.Dir(ref.RepositoryStr()) != path.Dir(repo.RepositoryStr()) {
		return place{}, false
	}
	for _, l := range b.layers(ctx, ref) {
		if l.Annotations[keyAnnotation] == key {
			return place{ref.Context(), l}, true
		}
	}
	return place{}, false
}

// remember notes that a layer is in repo.
func (b *Builder) remember(repo name.Repository, l v1.Descriptor) {
	if key := l.Annotations[keyAnnotation]; key != "" {
		b.places.LoadOrStore(repo.RegistryStr()+" "+key, place{repo, l})
	}
}
