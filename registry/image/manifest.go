package image

import (
	"bytes"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// keyAnnotation, on a layer's descriptor, says what the layer was made from; other versions of the model
// find the layers they share by it, without reading the files.
const keyAnnotation = "dev.davit.layer"

// config is the image's config in the form of the OCI image spec, without history: v1.ConfigFile would
// write zero times. A file of weights has no architecture, and image volumes ask for none; linux/amd64 is
// there because the fields are required and because tools that pull for their own platform fall back to it.
type config struct {
	Created      string    `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       struct{}  `json:"config"`
	RootFS       v1.RootFS `json:"rootfs"`
}

// manifest is an OCI manifest that can be put. It is never an index and has no artifactType: container
// runtimes refuse to mount what does not look like an image.
type manifest struct{ raw []byte }

func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (m manifest) descriptor() (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(m.raw))
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: size, Digest: digest}, err
}

// assemble makes the config blob and the manifest of layers that have been uploaded.
func assemble(layers []*layer) (v1.Layer, manifest, error) {
	cfg := config{Created: "1970-01-01T00:00:00Z", Architecture: "amd64", OS: "linux"}
	cfg.RootFS.Type = "layers"
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return nil, manifest{}, err
		}
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, digest) // uncompressed: diff ID and digest are one
		m.Layers = append(m.Layers, v1.Descriptor{
			MediaType:   types.OCIUncompressedLayer,
			Size:        l.size,
			Digest:      digest,
			Annotations: map[string]string{keyAnnotation: layerKey(l.file)},
		})
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, manifest{}, err
	}
	blob := static.NewLayer(raw, types.OCIConfigJSON)
	digest, err := blob.Digest()
	if err != nil {
		return nil, manifest{}, err
	}
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(raw)), Digest: digest}
	raw, err = json.Marshal(m)
	return blob, manifest{raw}, err
}
