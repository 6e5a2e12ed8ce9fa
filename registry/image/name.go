package image

import (
	"context"
	"fmt"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/registry"
)

// tagName is what a tag may be (OCI distribution spec).
var tagName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// call gives an image the name that people know it by, <model>:<version>. A version's content never changes: a name that
// is another image's is an error and stays where it is. A version whose name can't be a tag goes without.
func (b *Builder) call(ctx context.Context, repository string, v *registry.ModelVersion, digest string) error {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return fmt.Errorf("images of %s: %w", v, err)
	}
	if !tagName.MatchString(v.Name) {
		return nil
	}
	tag := repo.Tag(v.Name)
	has, err := b.head(ctx, tag)
	switch {
	case err != nil:
		return err
	case has == nil:
		return b.tag(ctx, tag, repo.Digest(digest))
	case has.Digest.String() == digest:
		return nil
	}
	// The answer to HEAD is a header's word. What holds a release is read, and hashed here.
	read, err := b.puller.Load().Get(ctx, tag)
	switch {
	case err != nil:
		return fmt.Errorf("reading %s: %w", tag, err)
	case read.Digest.String() != digest:
		return &ContentError{Path: v.Path, Err: fmt.Errorf(
			"%s is %s in the OCI registry, and this version's content is %s; a version never changes: give the content a new version, or delete the tag there if it is not davit's",
			tag, read.Digest, digest)}
	}
	return nil
}

// Point moves a tag that people follow, such as "production", to an image, repository@sha256:…. It is for tags that are no
// version's name: those never move.
func (b *Builder) Point(ctx context.Context, tag, ref string) error {
	image, err := name.NewDigest(ref)
	if err != nil {
		return err
	}
	if !tagName.MatchString(tag) {
		return fmt.Errorf("%q can't be a tag", tag)
	}
	to := image.Context().Tag(tag)
	has, err := b.head(ctx, to)
	if err != nil || has != nil && has.Digest.String() == image.DigestStr() {
		return err
	}
	return b.tag(ctx, to, image)
}

// tag names a manifest that is there.
func (b *Builder) tag(ctx context.Context, tag name.Tag, image name.Digest) error {
	desc, err := b.puller.Load().Get(ctx, image)
	if err != nil {
		return fmt.Errorf("reading %s: %w", image, err)
	}
	pusher, err := remote.NewPusher(b.options...)
	if err != nil {
		return err
	}
	if err := pusher.Put(ctx, tag, desc); err != nil {
		return fmt.Errorf("tagging %s: %w", tag, err)
	}
	return nil
}
