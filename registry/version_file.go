package registry

import (
	"errors"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// VersionText is the text of a ModelVersion's file at a path as [ModelVersion.Path] tells it, with fields that say nothing
// left out. [Load] reads it as the same spec; what it would find a fault in is an error.
func VersionText(file string, spec ModelVersionSpec) ([]byte, error) {
	doc := versionDocument{APIVersion: APIVersion, Kind: "ModelVersion", Spec: writtenVersion{
		Format: spec.Format, Architecture: spec.Architecture, Parameters: spec.Parameters, Precision: spec.Precision,
		Quantization: spec.Quantization, Opset: spec.Opset, Files: spec.Files, Metrics: spec.Metrics, Lineage: writtenLineage(spec.Lineage),
	}}
	for _, d := range spec.Datasets {
		doc.Spec.Datasets = append(doc.Spec.Datasets, writtenDataset(d))
	}
	text, err := yaml.Marshal(doc)
	if err != nil {
		return nil, err
	}
	rd := &reader{cache: newCache()}
	v := &ModelVersion{Path: file, Name: strings.TrimSuffix(path.Base(file), ".yaml")}
	read, faults := rd.document(file, text, "ModelVersion", v.Name, &v.Spec)
	if faults = checkVersion(read, v, faults); len(faults) > 0 {
		return nil, errors.New(faults[0].String())
	}
	return text, nil
}

type versionDocument struct {
	APIVersion string         `yaml:"apiVersion"`
	Kind       string         `yaml:"kind"`
	Spec       writtenVersion `yaml:"spec"`
}

// writtenVersion is a [ModelVersionSpec] as people want to read it: what is not known is not there.
type writtenVersion struct {
	Format       string             `yaml:"format,omitempty"`
	Architecture string             `yaml:"architecture,omitempty"`
	Parameters   int64              `yaml:"parameters,omitempty"`
	Precision    string             `yaml:"precision,omitempty"`
	Quantization string             `yaml:"quantization,omitempty"`
	Opset        int                `yaml:"opset,omitempty"`
	Files        []File             `yaml:"files"`
	Metrics      map[string]float64 `yaml:"metrics,omitempty"`
	Datasets     []writtenDataset   `yaml:"datasets,omitempty"`
	Lineage      writtenLineage     `yaml:"lineage,omitempty"`
}

type writtenDataset struct {
	Name   string `yaml:"name"`
	URI    string `yaml:"uri,omitempty"`
	SHA256 string `yaml:"sha256,omitempty"`
}

type writtenLineage struct {
	BaseVersion string `yaml:"baseVersion,omitempty"`
	TrainedBy   string `yaml:"trainedBy,omitempty"`
	Commit      string `yaml:"commit,omitempty"`
}
