package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/davit-dev/davit/registry"
)

// resolveOCI gives the digest of what a tag names: of an image or artifact, or of the index of its platforms.
func (s sources) resolveOCI(ctx context.Context, d registry.Dataset, f registry.File, secret Secret) (registry.Dataset, error) {
	_, text, _ := strings.Cut(d.URI, "://")
	var ref name.Reference
	pinned := ociPlace.MatchString(d.URI)
	var err error
	if pinned {
		ref, _, err = parseOCI(d.URI)
	} else if ref, err = name.ParseReference(text); err != nil {
		err = contentErrorf("source %s is not of the form oci://host/repository:tag or oci://host/repository@sha256:…", redact(d.URI))
	}
	if err != nil {
		return d, err
	}
	var digest string
	err = asked(ctx, f, func(ctx context.Context) error {
		desc, err := remote.Head(ref, append(slices.Clone(s.options(secret)), remote.WithContext(ctx))...)
		if e, ok := errors.AsType[*transport.Error](err); ok {
			return &statusError{code: e.StatusCode, text: fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))}
		}
		if err == nil {
			digest = desc.Digest.String()
		}
		return err
	})
	if err != nil || pinned {
		return d, err
	}
	written, err := ParseReference(text)
	written.Digest = digest
	d.URI = "oci://" + written.String()
	return d, err
}
