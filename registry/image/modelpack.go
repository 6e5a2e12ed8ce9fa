package image

import (
	"encoding/json"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	modelpack "github.com/modelpack/model-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"

	"github.com/davit-dev/davit/registry"
)

// titleAnnotation is a blob's file name (OCI image spec, annotations).
const titleAnnotation = "org.opencontainers.image.title"

// modelManifest is the second manifest over an image's blobs: a CNCF ModelPack artifact whose subject is the image
// (https://github.com/modelpack/model-spec, version 0.0.7), for tools that know models. The image itself can't be one:
// container runtimes refuse to mount what has an artifactType or layers of other media types.
func modelManifest(v *registry.ModelVersion, layers []*layer, image v1.Descriptor) (v1.Layer, manifest, error) {
	m := struct {
		SchemaVersion int64           `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		ArtifactType  string          `json:"artifactType"`
		Config        v1.Descriptor   `json:"config"`
		Layers        []v1.Descriptor `json:"layers"`
		Subject       v1.Descriptor   `json:"subject"`
	}{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: modelpack.ArtifactTypeModelManifest, Subject: image}
	cfg := modelpack.Model{ModelFS: modelpack.ModelFS{Type: "layers"}, Config: knowledge(v)}
	for _, l := range layers {
		sum, err := l.Digest()
		if err != nil {
			return nil, manifest{}, err
		}
		cfg.ModelFS.DiffIDs = append(cfg.ModelFS.DiffIDs, digest.Digest(sum.String()))
		m.Layers = append(m.Layers, v1.Descriptor{
			MediaType: modelMediaType(l.file.Path), Size: l.size, Digest: sum,
			Annotations: map[string]string{
				modelpack.AnnotationFilepath: path.Join(root, l.file.Path), modelpack.AnnotationMediaTypeUntested: "true",
				titleAnnotation: l.file.Path + ".tar", // what oras pull writes it to
			},
		})
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, manifest{}, err
	}
	blob := static.NewLayer(raw, modelpack.MediaTypeModelConfig)
	sum, err := blob.Digest()
	if err != nil {
		return nil, manifest{}, err
	}
	m.Config = v1.Descriptor{MediaType: modelpack.MediaTypeModelConfig, Size: int64(len(raw)), Digest: sum}
	raw, err = json.Marshal(m)
	return blob, manifest{raw}, err
}

// knowledge says in the spec's vocabulary what a version tells of its model. Name, version and commit are not in it: the
// same content is the same manifest.
func knowledge(v *registry.ModelVersion) modelpack.ModelConfig {
	s := v.Spec
	return modelpack.ModelConfig{
		Architecture: s.Architecture, Format: s.Format, ParamSize: ParamSize(s.Parameters), Precision: s.Precision, Quantization: s.Quantization,
	}
}

// modelMediaType tells the kinds of files apart by their names, as the spec asks for; it marks them as untested.
func modelMediaType(name string) types.MediaType {
	base := strings.ToLower(path.Base(name))
	switch ext := path.Ext(base); {
	case byExtension[ext] != "", ext == ".bin":
		return modelpack.MediaTypeModelWeight
	case ext == ".md", base == "license", base == "license.txt", base == "notice", base == "readme.txt":
		return modelpack.MediaTypeModelDoc
	case ext == ".py", ext == ".sh", ext == ".ipynb":
		return modelpack.MediaTypeModelCode
	case ext == ".json", ext == ".yaml", ext == ".yml", ext == ".txt", ext == ".model", ext == ".pbtxt", ext == ".jinja":
		return modelpack.MediaTypeModelWeightConfig
	}
	return modelpack.MediaTypeModelWeight
}
