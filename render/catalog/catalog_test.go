package catalog_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
	"github.com/davit-dev/davit/render/catalog"
)

const (
	zeros      = "0000000000000000000000000000000000000000000000000000000000000000"
	image      = "registry.example.com/server@sha256:" + "12345678901234567890123456789012345678901234567890123456789012ab"
	modelImage = "registry.example.com/models/m@sha256:" + zeros
)

// repository is a registry with one release of a model of that format.
func repository(format string, rt catalog.Runtime, acc *catalog.Accelerator, serving string) fstest.MapFS {
	const api = "apiVersion: davit.dev/v1alpha1\n"
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"davit.yaml": file(api + "kind: Registry\nspec: {images: registry.example.com/models}\n"),
		"environments/production/environment.yaml": file(api + "kind: Environment\nspec:\n" +
			"  capabilities: {kubernetes: \"1.37\", features: [kserve, dra, leaderWorkerSet]}\n" +
			"  allowCode: [pickle]\n" +
			"  runtimes: {" + rt.Name + ": \"" + rt.Newest() + "\"}\n"),
		"models/m/model.yaml": file(api + "kind: Model\nspec: {owners: [a]}\n"),
		"models/m/versions/v1.yaml": file(api + "kind: ModelVersion\nspec:\n  format: " + format + "\n  files:\n" +
			"    - {path: model.bin, source: models/m/files/model.bin, sha256: \"" + zeros + "\", size: 1}\n"),
		"models/m/files/model.bin":   file("m"),
		"releases/m/production.yaml": file(api + "kind: Release\nspec: {version: v1}\n"),
		"releases/m/serving.yaml":    file(api + "kind: Serving\nspec: {model: m, runtime: " + rt.Name + serving + "}\n"),
	}
	remarked := ""
	if rt.HasImage() {
		remarked = image
	}
	for name, data := range rt.Files(remarked, rt.Tag(rt.Newest())) {
		fsys[path.Join("runtimes", rt.Name, rt.Newest(), name)] = &fstest.MapFile{Data: data}
	}
	if acc != nil {
		for name, data := range acc.Files() {
			fsys[path.Join("accelerators", acc.Name, name)] = &fstest.MapFile{Data: data}
		}
	}
	return fsys
}

func load(t *testing.T, fsys fs.FS) *registry.Release {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range models.Faults {
		t.Error(fault)
	}
	r := models.Release(registry.Key{Environment: "production", Name: "m"})
	if r == nil {
		t.Fatal("no sound release")
	}
	return r
}

// each runs a test for every runtime and each of its formats.
func each(t *testing.T, f func(t *testing.T, rt catalog.Runtime, format string)) {
	for _, rt := range catalog.Runtimes() {
		t.Run(rt.Name, func(t *testing.T) {
			spec := spec(t, rt)
			formats := slices.Sorted(maps.Keys(spec.Formats))
			if len(formats) == 0 {
				formats = []string{"anything"}
			}
			for _, format := range formats {
				f(t, rt, format)
			}
		})
	}
}

// spec is what a registry reads of the runtime.
func spec(t *testing.T, rt catalog.Runtime) registry.RuntimeSpec {
	t.Helper()
	models, err := registry.Load(repository("", rt, nil, ""))
	if err != nil {
		t.Fatal(err)
	}
	read := models.Runtimes[rt.Name+"@"+rt.Newest()]
	if read == nil {
		t.Fatal(models.Faults)
	}
	return read.Spec
}

// TestRuntimes wants each runtime sound for each of its formats, and its feature asked for.
func TestRuntimes(t *testing.T) {
	each(t, func(t *testing.T, rt catalog.Runtime, format string) {
		fsys := repository(format, rt, nil, "")
		if got := load(t, fsys).Runtime.Spec.Image; rt.HasImage() && got != image {
			t.Errorf("image %q, want %q", got, image)
		}
		wantFeature(t, fsys, rt.Feature)
	})
	for _, rt := range catalog.Runtimes() {
		if m := spec(t, rt).MultiNode; m != nil {
			load(t, repository("safetensors", rt, nil, ", nodes: 2"))
		}
	}
}

// wantFeature removes each feature from the environment: a release has a fault without what it needs, and only then.
func wantFeature(t *testing.T, fsys fstest.MapFS, needed string) {
	t.Helper()
	env := fsys["environments/production/environment.yaml"]
	defer func() { fsys["environments/production/environment.yaml"] = env }()
	for _, feature := range []string{registry.KServe, registry.DRA} {
		without := strings.Replace(string(env.Data), feature, "gatewayAPI", 1)
		fsys["environments/production/environment.yaml"] = &fstest.MapFile{Data: []byte(without)}
		models, err := registry.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		if faulty := len(models.Faults) > 0; faulty != (feature == needed) {
			t.Errorf("without the feature %s: faults %v; the catalog says that it needs %q", feature, models.Faults, needed)
		}
	}
}

// TestAccelerators wants each accelerator sound with every runtime that can have it.
func TestAccelerators(t *testing.T) {
	for _, acc := range catalog.Accelerators() {
		t.Run(acc.Name, func(t *testing.T) {
			each(t, func(t *testing.T, rt catalog.Runtime, format string) {
				if rt.Feature == registry.KServe && acc.Feature == registry.DRA {
					return // an InferenceService can claim nothing
				}
				fsys := repository(format, rt, &acc, ", accelerator: "+acc.Name+", gpus: 2")
				spec := load(t, fsys).Accelerator.Spec
				counts := spec.Resource
				if spec.Claim != "" {
					counts = "claim " + spec.Claim
				}
				if counts != acc.Counts {
					t.Errorf("counts %q, want %q", counts, acc.Counts)
				}
				if rt.Feature == "" {
					wantFeature(t, fsys, acc.Feature)
				}
			})
		})
	}
}

// TestRender wants what render does of each runtime to pass its checks, with an accelerator that a plugin counts. An object
// that Kustomize has no schema for is beside it: no patch may be able to take its fields.
func TestRender(t *testing.T) {
	each(t, func(t *testing.T, rt catalog.Runtime, format string) {
		for _, acc := range catalog.Accelerators() {
			if rt.Feature == registry.KServe || acc.Feature == registry.DRA {
				continue
			}
			fsys := repository(format, rt, &acc, ", accelerator: "+acc.Name+", gpus: 2")
			const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [beside.yaml]\n"
			fsys["environments/production/kustomization.yaml"] = &fstest.MapFile{Data: []byte(component)}
			fsys["environments/production/beside.yaml"] = &fstest.MapFile{Data: beside(t)}
			out, err := render.Release(fsys, load(t, fsys), modelImage)
			if err != nil {
				t.Fatal(err)
			}
			text := string(out.YAML)
			for _, want := range []string{"image: " + image, acc.Counts + ": 2", "tolerations:", "kind: Service\n"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s with %s has no %q:\n%s", rt.Name, acc.Name, want, text)
				}
			}
		}
	})
}

// beside is an InferenceService.
func beside(t *testing.T) []byte {
	t.Helper()
	kserve, err := catalog.FindRuntime("kserve")
	if err != nil {
		t.Fatal(err)
	}
	return kserve.Files("", "")["inferenceservice.yaml"]
}

// TestNames wants the lists ordered, each with a folder, and no folder that no list has.
func TestNames(t *testing.T) {
	var have, want []string
	for _, rt := range catalog.Runtimes() {
		have = append(have, "runtimes/"+rt.Name)
		if found, err := catalog.FindRuntime(rt.Name); err != nil || found.Name != rt.Name {
			t.Errorf("%s: %v, %v", rt.Name, found, err)
		}
	}
	for _, acc := range catalog.Accelerators() {
		have = append(have, "accelerators/"+acc.Name)
	}
	slices.Sort(have)
	for _, kind := range []string{"accelerators", "runtimes"} {
		entries, err := os.ReadDir(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			want = append(want, kind+"/"+e.Name())
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("have %v, the folders are %v", have, want)
	}
	if _, err := catalog.FindRuntime("tgi"); err == nil || err.Error() != `no runtime "tgi" in the catalog (have custom, kserve, mlserver, onnx, triton, vllm)` {
		t.Error(err)
	}
	if _, err := catalog.FindAccelerator("h200"); err == nil || !strings.HasPrefix(err.Error(), `no accelerator "h200" in the catalog (have a100, h100,`) {
		t.Error(err)
	}
}

// TestTag holds how the images' repositories call their versions.
func TestTag(t *testing.T) {
	for name, want := range map[string]string{
		"vllm": "docker.io/vllm/vllm-openai:v0.11.2", "triton": "nvcr.io/nvidia/tritonserver:25.10-py3",
		"mlserver": "docker.io/seldonio/mlserver:1.7.1", "onnx": "docker.io/openvino/model_server:2025.3", "custom": ":", "kserve": ":",
	} {
		rt, err := catalog.FindRuntime(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := rt.Repository + ":" + rt.Tag(rt.Newest()); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
