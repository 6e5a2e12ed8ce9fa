package render_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const modelImage = "127.0.0.1:5000/models/iris@sha256:abababababababababababababababababababababababababababababababab"

// iris is the example's registry in memory, with files laid over it.
func iris(t testing.TB, over map[string]string) fstest.MapFS {
	t.Helper()
	root := os.DirFS("../examples/iris/registry")
	out := fstest.MapFS{}
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		out[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range over {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func release(t testing.TB, fsys fs.FS) *registry.Release {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	r := models.Release(registry.Key{Environment: "production", Name: "iris"})
	if r == nil {
		t.Fatal(models.Faults)
	}
	return r
}

// TestRelease lays each case's files over the example and compares the objects with its section "want".
func TestRelease(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			over, want := map[string]string{}, -1
			for i, f := range a.Files {
				if f.Name == "want" {
					want = i
				} else {
					over[f.Name] = string(f.Data)
				}
			}
			if want < 0 {
				t.Fatal("the case has no section want")
			}
			fsys := iris(t, over)
			got, err := render.Release(fsys, release(t, fsys), modelImage)
			text := ""
			if err != nil {
				text = "error " + err.Error() + "\n"
			} else {
				text = string(got.YAML)
			}
			if *update {
				a.Files[want].Data = []byte(text)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if text != string(a.Files[want].Data) {
				t.Errorf("got:\n%s\nwant:\n%s", text, a.Files[want].Data)
			}
		})
	}
}

// TestOverlayGivesTheSameBytes builds the written tree from disk, as kubectl kustomize does.
func TestOverlayGivesTheSameBytes(t *testing.T) {
	fsys := iris(t, nil)
	r := release(t, fsys)
	out, err := render.Release(fsys, r, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := render.Overlay(fsys, r, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range tree {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, "production/iris"))
	if err != nil {
		t.Fatal(err)
	}
	if yaml, err := built.AsYaml(); err != nil || !bytes.Equal(yaml, out.YAML) {
		t.Errorf("from disk (%v):\n%s\nin memory:\n%s", err, yaml, out.YAML)
	}
}

func TestSameBytesEachTimeAndConcurrently(t *testing.T) {
	fsys := iris(t, nil)
	r := release(t, fsys)
	want, err := render.Release(fsys, r, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				got, err := render.Release(fsys, r, modelImage)
				if err != nil || got.Hash != want.Hash {
					t.Errorf("hash %v, want %s (%v)", got, want.Hash, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestHostile lays one hostile Component over the release: each is refused by its place, and the next build
// of a sound one is unchanged.
func TestHostile(t *testing.T) {
	sound := iris(t, nil)
	before, err := render.Release(sound, release(t, sound), modelImage)
	if err != nil {
		t.Fatal(err)
	}
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	for name, c := range map[string]struct {
		component string
		files     map[string]string
		want      string
	}{
		"https":               {"resources:\n- https://example.com/a.yaml\n", nil, "releases/iris/kustomization.yaml:4:"},
		"github":              {"resources:\n- github.com/a/b//c?ref=main\n", nil, "releases/iris/kustomization.yaml:4:"},
		"git@":                {"resources: ['git@example.com:a/b']\n", nil, "releases/iris/kustomization.yaml:3:"},
		"git::":               {"components: ['git::https://example.com/a']\n", nil, "is not a file or folder"},
		"host without scheme": {"resources: [example.com/a/b]\n", nil, "is not a file or folder"},
		"outside":             {"resources: [../../environments/production/environment.yaml]\n", nil, "is not a file or folder below releases/iris"},
		"absolute":            {"resources: [/etc/passwd]\n", nil, "is not a file or folder"},
		"openapi":             {"openapi: {path: schema.json}\n", nil, "openapi is refused"},
		"helm":                {"helmCharts: [{name: a, repo: 'https://example.com'}]\n", nil, "helmCharts is refused"},
		"transformers":        {"transformers: [a.yaml]\n", map[string]string{"a.yaml": "kind: A"}, "transformers is refused"},
		"generators":          {"generators: [a.yaml]\n", map[string]string{"a.yaml": "kind: A"}, "generators is refused"},
		"function":            {"resources: [a.yaml]\n", map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    config.kubernetes.io/function: 'exec: {path: /bin/sh}'\n"}, "releases/iris/a.yaml:6:"},
		"anchors":             {"resources: &a [b.yaml]\n", nil, "anchors and aliases"},
		"unknown field":       {"resourcez: [a.yaml]\n", nil, `unknown field "resourcez"`},
		"namespace":           {"namespace: kube-system\n", nil, "namespace is refused"},
		"cluster scope":       {"resources: [a.yaml]\n", map[string]string{"a.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n"}, "not namespaced"},
		"merge on a CRD":      {"patches:\n- target: {kind: Widget}\n  patch: |-\n    apiVersion: example.com/v1\n    kind: Widget\n    metadata: {name: a}\n", nil, "JSON6902"},
		"generated files":     {"configMapGenerator: [{name: a, files: [../../davit.yaml]}]\n", nil, "is not a file or folder"},
	} {
		t.Run(name, func(t *testing.T) {
			over := map[string]string{"releases/iris/kustomization.yaml": head + c.component}
			for file, text := range c.files {
				over["releases/iris/"+file] = text
			}
			fsys := iris(t, over)
			_, err := render.Release(fsys, release(t, fsys), modelImage)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			after, err := render.Release(sound, release(t, sound), modelImage)
			if err != nil || after.Hash != before.Hash {
				t.Errorf("the next build changed: %v", err)
			}
		})
	}
}

func TestSymlinkIsRefused(t *testing.T) {
	fsys := iris(t, map[string]string{"releases/iris/kustomization.yaml": "resources: [a.yaml]\n"})
	fsys["releases/iris/a.yaml"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink}
	if _, err := render.Release(fsys, release(t, fsys), modelImage); err == nil || !strings.Contains(err.Error(), "releases/iris/a.yaml:1: symlinks") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkRelease(b *testing.B) {
	fsys := iris(b, nil)
	r := release(b, fsys)
	for b.Loop() {
		if _, err := render.Release(fsys, r, modelImage); err != nil {
			b.Fatal(err)
		}
	}
}
