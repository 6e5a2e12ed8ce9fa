package image

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
)

// Resolve gives the digest, sha256:…, of what ref, a tag or a digest of any repository, names now: of an image, or of the
// index of its platforms.
func (b *Builder) Resolve(ctx context.Context, ref string) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", err
	}
	desc, err := b.head(ctx, r)
	if err != nil {
		return "", err
	}
	if desc == nil {
		return "", fmt.Errorf("%s does not exist in its OCI registry", ref)
	}
	return desc.Digest.String(), nil
}
