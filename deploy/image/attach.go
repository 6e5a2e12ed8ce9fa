package main

import (
	"bytes"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	documentType = "application/spdx+json"
	emptyType    = "application/vnd.oci.empty.v1+json"
)

// attachment is a manifest whose subject is an image, and its blobs (OCI image spec, "Guidelines for Artifact Usage").
type attachment struct {
	raw    []byte
	layers []v1.Layer
}

func (a attachment) RawManifest() ([]byte, error)        { return a.raw, nil }
func (a attachment) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a attachment) descriptor() (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(a.raw))
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: size, ArtifactType: documentType}, err
}

// attach makes the attachment of an SBOM.
func attach(d document, subject v1.Descriptor) (a attachment, err error) {
	text, err := json.Marshal(d)
	if err != nil {
		return a, err
	}
	a.layers = []v1.Layer{static.NewLayer(text, documentType), static.NewLayer([]byte("{}"), emptyType)}
	var described []v1.Descriptor
	for _, l := range a.layers {
		one, err := describe(l)
		if err != nil {
			return a, err
		}
		described = append(described, one)
	}
	a.raw, err = json.Marshal(struct {
		SchemaVersion int64           `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		ArtifactType  string          `json:"artifactType"`
		Config        v1.Descriptor   `json:"config"`
		Layers        []v1.Descriptor `json:"layers"`
		Subject       v1.Descriptor   `json:"subject"`
	}{
		2, types.OCIManifestSchema1, documentType, described[1], described[:1],
		v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	return a, err
}

func describe(l v1.Layer) (d v1.Descriptor, err error) {
	if d.MediaType, err = l.MediaType(); err != nil {
		return d, err
	}
	if d.Digest, err = l.Digest(); err != nil {
		return d, err
	}
	d.Size, err = l.Size()
	return d, err
}
