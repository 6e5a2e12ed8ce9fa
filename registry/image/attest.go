package image

import (
	"bytes"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// What is attached to an image is a Sigstore bundle of an in-toto statement, as cosign attaches its own
// (https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md).
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
	// signatureType is the predicate of a plain signature, provenanceType that of SLSA (https://slsa.dev/spec/v1.0/provenance).
	signatureType  = "https://sigstore.dev/cosign/sign/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     any        `json:"predicate"`
}

// resource is in-toto's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type bundle struct {
	MediaType            string   `json:"mediaType"`
	VerificationMaterial material `json:"verificationMaterial"`
	Envelope             envelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
}

// envelope is DSSE's: https://github.com/secure-systems-lab/dsse.
type envelope struct {
	Payload     []byte      `json:"payload"` // base64 in JSON
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid"` // empty: the bundle names the key
}

// attest makes a signed statement on an image, and the manifest that attaches it.
func (k *Key) attest(image v1.Descriptor, predicateType string, predicate any) (blob v1.Layer, m manifest, err error) {
	payload, err := json.Marshal(statement{statementType, []resource{{Digest: map[string]string{image.Digest.Algorithm: image.Digest.Hex}}}, predicateType, predicate})
	if err != nil {
		return nil, m, err
	}
	sig, err := k.sign(dsse.PAE(payloadType, payload))
	if err != nil {
		return nil, m, err
	}
	b := bundle{MediaType: bundleType, Envelope: envelope{payload, payloadType, []signature{{Sig: sig}}}}
	b.VerificationMaterial.PublicKey.Hint = k.public.hint
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, m, err
	}
	m, err = attached(raw, image, predicateType)
	return static.NewLayer(raw, bundleType), m, err
}

// attached is the manifest of a bundle whose subject is the image.
func attached(raw []byte, image v1.Descriptor, predicateType string) (manifest, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return manifest{}, err
	}
	out, err := json.Marshal(struct {
		SchemaVersion int64             `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        v1.Descriptor     `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Subject       v1.Descriptor     `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		2, types.OCIManifestSchema1, bundleType, emptyDescriptor,
		[]v1.Descriptor{{MediaType: bundleType, Size: size, Digest: digest}}, image,
		map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType},
	})
	return manifest{out}, err
}

// emptyJSON is the config of a manifest that needs none (OCI image spec, "guidance for an empty descriptor").
var (
	emptyJSON       = static.NewLayer([]byte("{}"), "application/vnd.oci.empty.v1+json")
	emptyDescriptor = v1.Descriptor{
		MediaType: "application/vnd.oci.empty.v1+json", Size: 2,
		Digest: v1.Hash{Algorithm: "sha256", Hex: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
	}
)
