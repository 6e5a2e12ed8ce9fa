package image

import (
	"context"
	"fmt"
	"strings"

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

// Reference is an image's name, taken apart as it is written: no host, tag or digest is made up.
type Reference struct {
	Repository  string // with its host, if it has one
	Tag, Digest string // empty where there is none
}

// ParseReference reads repository[:tag][@sha256:…].
func ParseReference(text string) (r Reference, err error) {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		return r, fmt.Errorf("an image has no scheme; write %s", rest)
	}
	if _, err := name.ParseReference(text); err != nil {
		return r, err
	}
	r.Repository, r.Digest, _ = strings.Cut(text, "@")
	if i := strings.LastIndexByte(r.Repository, ':'); i > strings.LastIndexByte(r.Repository, '/') { // not a port
		r.Repository, r.Tag = r.Repository[:i], r.Repository[i+1:]
	}
	return r, nil
}

// String is the reference with its digest, or else its tag.
func (r Reference) String() string {
	switch {
	case r.Digest != "":
		return r.Repository + "@" + r.Digest
	case r.Tag != "":
		return r.Repository + ":" + r.Tag
	}
	return r.Repository
}

// Mirrored is the same below another host, or a prefix there.
func (r Reference) Mirrored(host string) Reference {
	if first, rest, ok := strings.Cut(r.Repository, "/"); ok && strings.ContainsAny(first, ".:") || first == "localhost" {
		r.Repository = rest
	}
	r.Repository = strings.TrimSuffix(host, "/") + "/" + r.Repository
	return r
}
