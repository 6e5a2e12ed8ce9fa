package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/davit-dev/davit/registry"
)

// errImageGone says that a result is there and the image that it tells of is not.
var errImageGone = errors.New("its image is gone; the run has to be made again")

// RunResult finds what the run with this hash left in repository; false when nothing is there. Whoever may push to the
// OCI registry can write it: one that does not agree with the run, or with the image it is attached to, is a
// *ContentError. That its image is the trainer's work only a signature tells.
func (b *Builder) RunResult(ctx context.Context, repository, hash string) (RunResult, bool, error) {
	if !sha256Hex.MatchString(hash) {
		return RunResult{}, false, contentErrorf("hash %q of a run is not 64 lower-case hex digits", hash)
	}
	repo, err := name.NewRepository(repository)
	if err != nil {
		return RunResult{}, false, contentErrorf("images of a run: %w", err)
	}
	tag := repo.Tag(runTag(hash))
	desc, err := b.head(ctx, tag)
	if err != nil || desc == nil {
		return RunResult{}, false, err
	}
	found, err := b.readResult(ctx, repo, desc)
	if err == nil {
		err = b.checkResult(ctx, repo, hash, found)
	}
	if content, ok := errors.AsType[*ContentError](err); ok {
		return RunResult{}, false, contentErrorf("the result of a run at %s: %w", tag, content.Err)
	}
	if err != nil {
		return RunResult{}, false, fmt.Errorf("reading %s: %w", tag, err)
	}
	return found, true, nil
}

// readResult reads a result whose digest is its subject's.
func (b *Builder) readResult(ctx context.Context, repo name.Repository, desc *v1.Descriptor) (r RunResult, err error) {
	if desc.Size > maxRunResult {
		return r, contentErrorf("has a manifest of %d bytes, of at most %d", desc.Size, maxRunResult)
	}
	got, err := b.puller.Load().Get(ctx, repo.Digest(desc.Digest.String()))
	if err != nil {
		return r, err
	}
	var m runArtifact
	if err := json.Unmarshal(got.Manifest, &m); err != nil {
		return r, contentErrorf("has a broken manifest: %w", err)
	}
	if m.ArtifactType != runType || m.Subject == nil || len(m.Layers) == 0 || string(m.Layers[0].MediaType) != runType {
		return r, contentErrorf("is no artifact of type %s that is attached to an image", runType)
	}
	raw, err := b.blob(ctx, repo, m.Layers[0])
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, contentErrorf("is broken: %w", err)
	}
	if r.Digest != m.Subject.Digest.String() {
		return r, contentErrorf("tells of the image %q and is attached to %s", r.Digest, m.Subject.Digest)
	}
	return r, nil
}

// blob reads a small blob.
func (b *Builder) blob(ctx context.Context, repo name.Repository, d v1.Descriptor) ([]byte, error) {
	if d.Size < 0 || d.Size > maxRunResult {
		return nil, contentErrorf("has %d bytes, of at most %d", d.Size, maxRunResult)
	}
	layer, err := b.puller.Load().Layer(ctx, repo.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	in, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(in, d.Size+1))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	if sum, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || sum != d.Digest {
		return nil, contentErrorf("is not what its digest says")
	}
	return raw, nil
}

// checkResult compares a result with the run and with the image.
func (b *Builder) checkResult(ctx context.Context, repo name.Repository, hash string, r RunResult) error {
	if r.Hash != hash {
		return contentErrorf("is that of hash %q", r.Hash)
	}
	v := &registry.ModelVersion{Name: r.Run, Path: "its version", Spec: r.Version}
	if err := errors.Join(checkRun(r.Run, hash), check(v), checkMetrics(r.Version.Metrics), checkWords(r.Version)); err != nil {
		return err
	}
	image := repo.Digest(r.Digest)
	for _, f := range r.Version.Files {
		if err := checkOutputPath(f.Path); err != nil {
			return err
		}
		if want := sourceIn(repo.String()+"@"+r.Digest, f.Path); f.Source != want {
			return contentErrorf("file %q has the source %q, not %q", f.Path, redact(f.Source), want)
		}
	}
	switch desc, err := b.head(ctx, image); {
	case err != nil:
		return err
	case desc == nil:
		return &ContentError{Err: errImageGone}
	}
	switch same, err := b.madeOf(ctx, image, v); {
	case err != nil:
		return err
	case !same:
		return contentErrorf("has other files than its image, %s", image)
	}
	tagged, err := b.head(ctx, repo.Tag(Tag(v)))
	if err == nil && tagged != nil && tagged.Digest.String() != r.Digest {
		err = contentErrorf("tells of %s, and files like its own are in %s", r.Digest, tagged.Digest)
	}
	return err
}

func checkWords(s registry.ModelVersionSpec) error {
	words := []string{s.Format, s.Architecture, s.Precision, s.Quantization}
	if s.Parameters < 0 || s.Opset < 0 || slices.ContainsFunc(words, func(w string) bool { return wordOf(w) != w }) {
		return contentErrorf("tells of a model what can't be: %q, %d parameters, opset %d", words, s.Parameters, s.Opset)
	}
	return nil
}
