package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// made is an index over the platforms' images, and what is attached to them.
type made struct {
	index    v1.ImageIndex
	attached []attachment
}

// annotations say what the image is (OCI image spec, "Pre-Defined Annotation Keys").
func (o order) annotations() map[string]string {
	said := map[string]string{
		"org.opencontainers.image.title":         "davit",
		"org.opencontainers.image.description":   "GitOps reconciler whose source is a model registry in Git",
		"org.opencontainers.image.source":        "https://github.com/davit-dev/davit",
		"org.opencontainers.image.documentation": "https://github.com/davit-dev/davit#readme",
		"org.opencontainers.image.licenses":      license,
		"org.opencontainers.image.version":       o.version,
	}
	if o.commit != "" {
		said["org.opencontainers.image.revision"] = o.commit
	}
	return said
}

// image makes the image of the programs of all platforms.
func (o order) image(all []*program) (*made, error) {
	said := o.annotations()
	m := &made{index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	var documents []document
	for _, p := range all {
		img, err := o.imageFor(p, said)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.platform(), err)
		}
		subject, err := partial.Descriptor(img)
		if err != nil {
			return nil, err
		}
		subject.Platform = &v1.Platform{OS: p.system, Architecture: p.architecture}
		m.index = mutate.AppendManifests(m.index, mutate.IndexAddendum{Add: img, Descriptor: *subject})
		d, err := o.document(p, carried()...)
		if err != nil {
			return nil, fmt.Errorf("%s: SBOM: %w", p.platform(), err)
		}
		a, err := attach(d, *subject)
		if err != nil {
			return nil, err
		}
		m.attached, documents = append(m.attached, a), append(documents, d)
	}
	m.index = mutate.Annotations(m.index, said).(v1.ImageIndex)
	subject, err := partial.Descriptor(m.index)
	if err != nil {
		return nil, err
	}
	a, err := attach(o.documentOver(subject.Digest, documents), *subject)
	m.attached = append(m.attached, a)
	return m, err
}

// imageFor makes one platform's.
func (o order) imageFor(p *program, said map[string]string) (v1.Image, error) {
	l, err := layer(p)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "davit " + o.version, Created: v1.Time{Time: epoch}}}); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.system, p.architecture, v1.Time{Time: epoch}
	config.Config = v1.Config{
		Entrypoint: []string{"/davit"}, User: fmt.Sprintf("%d:%d", user, user), WorkingDir: home, Labels: said,
		Env: []string{"PATH=/", "HOME=" + home},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	return plain{mutate.Annotations(img, said).(v1.Image)}, nil
}

// plain is an image that an index does not call an artifact: the library takes the config's type for one.
type plain struct{ v1.Image }

func (plain) ArtifactType() (string, error) { return "", nil }
