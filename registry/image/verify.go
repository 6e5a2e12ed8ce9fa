package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/davit-dev/davit/registry"
)

// Policy is what an image must have to be used.
type Policy struct {
	// Keys are whose signature it must bear, one of them.
	Keys []PublicKey
	// Provenance says that a SLSA provenance must be attached, signed by one of the keys too.
	Provenance bool
}

// UnsignedError says that an image does not have what a policy asks for.
type UnsignedError struct {
	Ref  string // of the image
	What string // "signature", "provenance", or of what it lacks one
}

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("%s has no %s by a key that is accepted here; davit build --signing-key signs what it builds", e.Ref, e.What)
}

// maxAttached bounds how many bundles of an image are looked at, and maxBundle how long one may be.
const (
	maxAttached = 256
	maxBundle   = 1 << 20
)

// Verify checks v's image, repository@sha256:…, against policies, all of which must hold. An *UnsignedError says that it
// has not what it needs, or is signed and not made of v's files: whoever may push can put any signed image under any tag.
// Any other error says that the OCI registry could not be asked.
func (b *Builder) Verify(ctx context.Context, ref string, v *registry.ModelVersion, policies ...Policy) error {
	image, err := name.NewDigest(ref)
	if err != nil {
		return err
	}
	if len(policies) == 0 {
		return nil
	}
	if of, err := b.madeOf(ctx, image, v); err != nil {
		return fmt.Errorf("reading %s: %w", ref, err)
	} else if !of {
		return &UnsignedError{ref, "signature on the files of " + v.String()}
	}
	return b.verify(ctx, image, policies...)
}

// madeOf says that an image has v's files, by what its manifest says of its layers. That counts once the manifest is
// known to be signed.
func (b *Builder) madeOf(ctx context.Context, image name.Digest, v *registry.ModelVersion) (bool, error) {
	desc, err := b.puller.Load().Get(ctx, image)
	if err != nil {
		return false, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return false, nil
	}
	var want, have []string
	for _, f := range sortedFiles(v) {
		want = append(want, layerKey(f))
	}
	for _, l := range m.Layers {
		have = append(have, l.Annotations[keyAnnotation])
	}
	return slices.Equal(want, have), nil
}

func (b *Builder) verify(ctx context.Context, image name.Digest, policies ...Policy) error {
	ref := image.String()
	found, err := b.statements(ctx, image)
	if err != nil {
		return fmt.Errorf("looking for signatures of %s: %w", ref, err)
	}
	for _, p := range policies {
		if !found.by(p.Keys, signatureType, provenanceType) {
			return &UnsignedError{ref, "signature"}
		}
		if p.Provenance && !found.by(p.Keys, provenanceType) {
			return &UnsignedError{ref, "provenance"}
		}
	}
	return nil
}

// signed is a statement on an image with its signature, which is still to be checked.
type signed struct {
	envelope
	predicateType string
}

type attachments []signed

// by says whether one of the keys has signed a statement of one of the types. A provenance says of an image what it is,
// so it signs it too.
func (a attachments) by(keys []PublicKey, predicateTypes ...string) bool {
	for _, s := range a {
		for _, kind := range predicateTypes {
			if s.predicateType == kind && s.signedBy(keys) {
				return true
			}
		}
	}
	return false
}

func (e envelope) signedBy(keys []PublicKey) bool {
	data := dsse.PAE(e.PayloadType, e.Payload)
	for _, s := range e.Signatures {
		for _, key := range keys {
			if key.verify(data, s.Sig) {
				return true
			}
		}
	}
	return false
}

// statements are those attached to an image that speak of it.
func (b *Builder) statements(ctx context.Context, image name.Digest) (found attachments, err error) {
	index, err := remote.Referrers(image, append(b.options[:len(b.options):len(b.options)], remote.WithContext(ctx))...)
	if err != nil {
		return nil, err
	}
	refs, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	looked := 0
	for _, d := range refs.Manifests {
		if d.ArtifactType != bundleType {
			continue
		}
		if looked++; looked > maxAttached {
			break
		}
		s, err := b.statement(ctx, image, d.Digest)
		if status, ok := errors.AsType[*transport.Error](err); ok && status.StatusCode == http.StatusNotFound {
			continue // it was deleted, and is still listed
		}
		if err != nil {
			return nil, err
		}
		if s != nil {
			found = append(found, *s)
		}
	}
	return found, nil
}

// statement reads one; nil when it is not a statement on the image.
func (b *Builder) statement(ctx context.Context, image name.Digest, at v1.Hash) (*signed, error) {
	puller := b.puller.Load()
	desc, err := puller.Get(ctx, image.Context().Digest(at.String()))
	if err != nil {
		return nil, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest))
	if err != nil || len(m.Layers) != 1 || m.Layers[0].Size > maxBundle {
		return nil, nil
	}
	layer, err := puller.Layer(ctx, image.Context().Digest(m.Layers[0].Digest.String()))
	if err != nil {
		return nil, err
	}
	blob, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(blob, maxBundle))
	if err := errors.Join(err, blob.Close()); err != nil {
		return nil, err
	}
	return statementIn(raw, image.DigestStr()), nil
}

// statementIn reads a bundle; nil when it is not a statement on the image with that digest.
func statementIn(raw []byte, digest string) *signed {
	var parsed bundle
	var said statement
	if json.Unmarshal(raw, &parsed) != nil || json.Unmarshal(parsed.Envelope.Payload, &said) != nil || parsed.Envelope.PayloadType != payloadType {
		return nil
	}
	for _, subject := range said.Subject {
		if want, err := v1.NewHash(digest); err == nil && subject.Digest[want.Algorithm] == want.Hex {
			return &signed{parsed.Envelope, said.PredicateType}
		}
	}
	return nil
}

// own says that an image bears this Builder's own signature and provenance.
func (b *Builder) own(ctx context.Context, image name.Digest) (bool, error) {
	err := b.verify(ctx, image, Policy{[]PublicKey{b.cfg.Key.public}, true})
	if _, unsigned := errors.AsType[*UnsignedError](err); unsigned {
		return false, nil
	}
	return err == nil, err
}
