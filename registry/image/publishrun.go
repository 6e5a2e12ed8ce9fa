package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

// runType is the artifact that holds a RunResult, and the media type of its first blob.
const runType = "application/vnd.davit.run.v1+json"

// maxRunResult is how many bytes a result, or its manifest, may have: some 300 files with long paths.
const maxRunResult = 1 << 20

// runTag is where the result of a run is found, without knowing any digest.
func runTag(hash string) string { return "run-" + hash[:32] }

// PublishRun makes the model image of what a trainer left in output, pushes it to spec.Repository, and then, last, its
// RunResult with the run's provenance. A run is published once: a result that is there is returned and nothing is pushed,
// so that a retry or a second pod is free; one that was broken off goes on where it was. Equal output is an equal digest.
// What is no model is a *ContentError; every other error is passing. Links in output are not followed: its fs.FS should
// be that of an os.Root. Memory is bounded.
func (b *Builder) PublishRun(ctx context.Context, spec registry.RunSpec, output fs.FS) (RunResult, error) {
	if err := checkRun(spec.Run, spec.Hash); err != nil {
		return RunResult{}, err
	}
	found, ok, err := b.RunResult(ctx, spec.Repository, spec.Hash)
	switch {
	case errors.Is(err, errImageGone): // made again, of the same output
	case err == nil && ok && found.Run != spec.Run:
		return RunResult{}, contentErrorf("%s:%s is the result of run %s, not of %s; delete it there", spec.Repository, runTag(spec.Hash), found.Run, spec.Run)
	case err != nil || ok:
		return found, err
	}
	v, err := b.trained(ctx, spec, output)
	if err != nil {
		return RunResult{}, err
	}
	from := trainerOutput{output, spec}
	made, err := b.have(ctx, from, spec.Repository, v, nil)
	if err != nil {
		return RunResult{}, err
	}
	result := RunResult{Run: spec.Run, Hash: spec.Hash, Digest: made.Digest, Version: v.Spec, Ended: time.Now().UTC().Truncate(time.Second)}
	result.Version.Datasets, result.Version.Lineage = nil, registry.Lineage{} // the training says those
	result.Version.Files = slices.Clone(v.Spec.Files)
	for i, f := range result.Version.Files {
		result.Version.Files[i].Source = sourceIn(made.Ref, f.Path)
	}
	if err := b.putResult(ctx, made, result, b.provenance(from, v)); err != nil {
		return RunResult{}, fmt.Errorf("publishing the result of run %s: %w", spec.Run, err)
	}
	return result, nil
}

// sourceIn is a model's file as the source of a version: in the image at ref, repository@sha256:….
func sourceIn(ref, file string) string { return "oci://" + ref + "/" + root + "/" + file }

// checkRun says whether a run's name ends in the beginning of its hash, as registry.Training.RunName has it.
func checkRun(run, hash string) error {
	short := run[strings.LastIndexByte(run, '-')+1:]
	if !sha256Hex.MatchString(hash) || len(short) < 8 || !strings.HasPrefix(hash, short) {
		return contentErrorf("run %q is not one whose spec has the hash %q", run, hash)
	}
	return nil
}

// putResult attaches a result and a provenance to an image; they are seen whole or not at all.
func (b *Builder) putResult(ctx context.Context, made Result, result RunResult, about provenance) error {
	ref, err := name.NewDigest(made.Ref)
	if err != nil {
		return err
	}
	image, err := b.head(ctx, ref)
	if err != nil {
		return err
	}
	if image == nil {
		return fmt.Errorf("%s is gone", ref)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if len(raw) > maxRunResult {
		return contentErrorf("the names of the %d files are too long: the run's result has %d bytes, of at most %d; shorten them", len(result.Version.Files), len(raw), maxRunResult)
	}
	stated, err := json.Marshal(statement{statementType, []resource{{Digest: map[string]string{image.Digest.Algorithm: image.Digest.Hex}}}, provenanceType, about})
	if err != nil {
		return err
	}
	pusher, err := remote.NewPusher(b.options...)
	if err != nil {
		return err
	}
	u := upload{builder: b, pusher: pusher, repo: ref.Context()}
	blobs := []v1.Layer{static.NewLayer(raw, runType), static.NewLayer(stated, payloadType)}
	for _, blob := range append(blobs, emptyJSON) {
		if err := u.blob(ctx, blob); err != nil {
			return err
		}
	}
	m, err := runManifest(*image, blobs)
	if err != nil {
		return err
	}
	return pusher.Put(ctx, ref.Context().Tag(runTag(result.Hash)), m)
}

// runArtifact is the manifest of a run's result (OCI image spec, "guidelines for artifact usage").
type runArtifact struct {
	SchemaVersion int64           `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	ArtifactType  string          `json:"artifactType"`
	Config        v1.Descriptor   `json:"config"`
	Layers        []v1.Descriptor `json:"layers"`
	Subject       *v1.Descriptor  `json:"subject"`
}

func runManifest(image v1.Descriptor, blobs []v1.Layer) (manifest, error) {
	m := runArtifact{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: runType, Config: emptyDescriptor,
		Subject: &v1.Descriptor{MediaType: image.MediaType, Size: image.Size, Digest: image.Digest},
	}
	for _, blob := range blobs {
		kind, err := blob.MediaType()
		if err != nil {
			return manifest{}, err
		}
		size, err := blob.Size()
		if err != nil {
			return manifest{}, err
		}
		digest, err := blob.Digest()
		if err != nil {
			return manifest{}, err
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: kind, Size: size, Digest: digest})
	}
	raw, err := json.Marshal(m)
	return manifest{raw}, err
}
