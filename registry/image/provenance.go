package image

import (
	"io/fs"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// buildType is what a model image's provenance calls the way it was built.
const buildType = "https://davit.dev/model-image/v1"

// origin is what a repository's files are when they are those of a commit.
type origin interface {
	// Origin is the repository's address without credentials, and the commit; empty when there is none.
	Origin() (repository, commit string)
}

// provenance is the predicate of SLSA's provenance: which commit and which files made the image, and where those came
// from. It has no times: the same content at the same commit has one provenance.
type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
	} `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string         `json:"buildType"`
	ExternalParameters   map[string]any `json:"externalParameters"`
	InternalParameters   map[string]any `json:"internalParameters"`
	ResolvedDependencies []resource     `json:"resolvedDependencies"`
}

// run says which run made the files, and with what. They have no name as a version yet, and no file.
func (d *buildDefinition) run(spec registry.RunSpec) {
	p := d.ExternalParameters
	delete(p, "version")
	delete(p, "path")
	p["training"], p["runHash"] = spec.Training, spec.Hash
	if len(spec.Hyperparameters) > 0 {
		p["hyperparameters"] = spec.Hyperparameters
	}
	if spec.Seed != nil {
		p["seed"] = *spec.Seed
	}
	trainer := resource{Name: "trainer", URI: "oci://" + spec.Image}
	if _, digest, ok := strings.Cut(spec.Image, "@sha256:"); ok {
		trainer.Digest = map[string]string{"sha256": digest}
	}
	d.ResolvedDependencies = append(d.ResolvedDependencies, trainer)
}

func (b *Builder) provenance(fsys fs.FS, v *registry.ModelVersion) (p provenance) {
	def := &p.BuildDefinition
	def.BuildType = buildType
	def.InternalParameters = map[string]any{"layoutVersion": LayoutVersion}
	def.ExternalParameters = map[string]any{"model": v.Model, "version": v.Name, "path": v.Path}
	if run := v.Spec.Lineage.TrainedBy; run != "" {
		def.ExternalParameters["trainedBy"] = run
	}
	if base := v.Spec.Lineage.BaseVersion; base != "" {
		def.ExternalParameters["baseVersion"] = base
	}
	if run, ok := fsys.(trainerOutput); ok {
		def.run(run.spec)
	}
	if at, ok := fsys.(origin); ok {
		if repository, commit := at.Origin(); commit != "" {
			def.ResolvedDependencies = append(def.ResolvedDependencies, resource{Name: v.Path, URI: "git+" + repository, Digest: map[string]string{"gitCommit": commit}})
		}
	}
	for _, f := range sortedFiles(v) {
		def.ResolvedDependencies = append(def.ResolvedDependencies, resource{Name: f.Path, URI: redact(f.Source), Digest: map[string]string{"sha256": f.SHA256}})
	}
	for _, d := range v.Spec.Datasets {
		data := resource{Name: "dataset " + d.Name, URI: redact(d.URI)}
		if d.SHA256 != "" {
			data.Digest = map[string]string{"sha256": d.SHA256}
		}
		def.ResolvedDependencies = append(def.ResolvedDependencies, data)
	}
	p.RunDetails.Builder.ID = b.cfg.BuilderID
	if b.cfg.BuilderVersion != "" {
		p.RunDetails.Builder.Version = map[string]string{"davit": b.cfg.BuilderVersion}
	}
	return p
}
