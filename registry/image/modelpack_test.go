package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/modelpack/model-spec/schema"
	modelpack "github.com/modelpack/model-spec/specs-go/v1"
)

// TestModelPack finds the second manifest from the image, as model tools do, and holds it against the spec's own schema.
func TestModelPack(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		v, fsys := version("v1", "model.safetensors=weights", "config.json={}", "README.md=card", "modeling.py=code")
		v.Spec.Format, v.Spec.Architecture, v.Spec.Parameters, v.Spec.Precision = "safetensors", "llama", 8_030_261_248, "bf16"
		res := ensure(t, newBuilder(t, Config{}), fsys, prefix+"/iris", v)
		subject, err := name.NewDigest(res.Ref)
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Referrers(subject)
		if err != nil {
			t.Fatal(err)
		}
		list, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Manifests) != 1 || list.Manifests[0].ArtifactType != modelpack.ArtifactTypeModelManifest {
			t.Fatalf("referrers of the image: %+v", list.Manifests)
		}
		model := subject.Context().Digest(list.Manifests[0].Digest.String())
		desc, err := remote.Get(model)
		if err != nil {
			t.Fatal(err)
		}
		m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest))
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == nil || m.Subject.Digest.String() != res.Digest {
			t.Errorf("subject %+v, want %s", m.Subject, res.Digest)
		}
		image, err := pull(t, res.Ref).Manifest()
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]string{
			"models/model.safetensors": modelpack.MediaTypeModelWeight, "models/config.json": modelpack.MediaTypeModelWeightConfig,
			"models/README.md": modelpack.MediaTypeModelDoc, "models/modeling.py": modelpack.MediaTypeModelCode,
		}
		if len(m.Layers) != len(kinds) {
			t.Errorf("%d layers", len(m.Layers))
		}
		for i, l := range m.Layers {
			if l.Digest != image.Layers[i].Digest || string(l.MediaType) != kinds[l.Annotations[modelpack.AnnotationFilepath]] {
				t.Errorf("layer %+v, the image has %s", l, image.Layers[i].Digest)
			}
		}
		cfg := content(t, subject.Context(), m.Config)
		if err := schema.ValidatorMediaTypeModelConfig.Validate(bytes.NewReader(cfg)); err != nil {
			t.Errorf("the spec's schema refuses %s: %v", cfg, err)
		}
		var about modelpack.Model
		if err := json.Unmarshal(cfg, &about); err != nil {
			t.Fatal(err)
		}
		if about.Config != (modelpack.ModelConfig{Format: "safetensors", Architecture: "llama", ParamSize: "8b", Precision: "bf16"}) || len(about.ModelFS.DiffIDs) != 4 {
			t.Errorf("config %s", cfg)
		}
		other := *v
		other.Spec.Precision = "fp8"
		if Tag(&other) == Tag(v) {
			t.Error("what is known of the model does not change the tag")
		}
	})
}

func content(t *testing.T, repo name.Repository, d v1.Descriptor) []byte {
	t.Helper()
	l, err := remote.Layer(repo.Digest(d.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestVersionTag: people find an image under its version's name, and the name of a version never moves.
func TestVersionTag(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		repository := prefix + "/iris"
		v1, fsys1 := version("v1", "model=A")
		v2, fsys2 := version("v2", "model=B")
		b := newBuilder(t, Config{})
		first, second := ensure(t, b, fsys1, repository, v1), ensure(t, b, fsys2, repository, v2)
		at := func(tag string) string {
			t.Helper()
			digest, err := pull(t, repository+":"+tag).Digest()
			if err != nil {
				t.Fatal(err)
			}
			return digest.String()
		}
		ensure(t, newBuilder(t, Config{}), fsys1, repository, v1) // A, B and A again
		if at("v1") != first.Digest || at("v2") != second.Digest {
			t.Errorf("v1 is %s, v2 %s, want %s and %s", at("v1"), at("v2"), first.Digest, second.Digest)
		}
		same, _ := version("v1-again", "model=A")
		if ensure(t, b, nil, repository, same); at("v1-again") != first.Digest {
			t.Errorf("the same content under another name is %s", at("v1-again"))
		}
		changed, fsys := version("v1", "model=C")
		_, err := b.Ensure(t.Context(), fsys, repository, changed, nil)
		if _, ok := errors.AsType[*ContentError](err); !ok || !strings.Contains(err.Error(), "a version never changes") || !strings.Contains(err.Error(), changed.Path) {
			t.Errorf("other content under the name of a version: %v", err)
		}
		if at("v1") != first.Digest {
			t.Errorf("v1 moved to %s", at("v1"))
		}
		odd, fsys := version("v 3", "model=D")
		ensure(t, b, fsys, repository, odd)
		repo, err := name.NewRepository(repository)
		if err != nil {
			t.Fatal(err)
		}
		tags, err := remote.List(repo)
		if err != nil || slices.Contains(tags, "v 3") {
			t.Errorf("tags %q, %v", tags, err)
		}
	})
}
