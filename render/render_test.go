package render_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/deploy/devcluster"
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

// cases are the archives of testdata: files laid over the example, and the objects, or the error, they give.
func cases(t testing.TB) map[string]*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	out := map[string]*txtar.Archive{}
	for _, name := range names {
		if out[name], err = txtar.ParseFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// split takes a case's section want from the files.
func split(t testing.TB, a *txtar.Archive) (over map[string]string, want *txtar.File) {
	t.Helper()
	over = map[string]string{}
	for i, f := range a.Files {
		if f.Name == "want" {
			want = &a.Files[i]
		} else {
			over[f.Name] = string(f.Data)
		}
	}
	if want == nil {
		t.Fatal("the case has no section want")
	}
	return over, want
}

// compare holds an output against its case's section, or rewrites that.
func compare(t *testing.T, name string, a *txtar.Archive, want *txtar.File, got *render.Output) {
	t.Helper()
	for _, o := range got.Objects {
		o.DeepCopy() // panics at a number of a type that no Unstructured may hold
	}
	if *update {
		want.Data = got.YAML
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(got.YAML) != string(want.Data) {
		t.Errorf("got:\n%s\nwant:\n%s", got.YAML, want.Data)
	}
}

// TestRelease lays each case's files over the example and compares the objects with its section "want".
func TestRelease(t *testing.T) {
	for name, a := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			over, want := split(t, a)
			fsys := iris(t, over)
			got, err := render.Release(fsys, release(t, fsys), modelImage)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, name, a, want, got)
		})
	}
}

// TestOverlayGivesTheSameBytes builds each case's written tree from disk by Kustomize's API and by the real
// kubectl.
func TestOverlayGivesTheSameBytes(t *testing.T) {
	binaries, err := devcluster.Build(t.Context(), os.Stderr, devcluster.PartControlPlane)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			over, _ := split(t, a)
			fsys := iris(t, over)
			r := release(t, fsys)
			out, err := render.Release(fsys, r, modelImage)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(written(t, fsys, r), "production/iris")
			built, err := krusty.MakeKustomizer(&krusty.Options{Reorder: krusty.ReorderOptionUnspecified, PluginConfig: types.DisabledPluginConfig()}).Run(filesys.MakeFsOnDisk(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if yaml, err := built.AsYaml(); err != nil || !bytes.Equal(yaml, out.YAML) {
				t.Errorf("from disk (%v):\n%s\nin memory:\n%s", err, yaml, out.YAML)
			}
			yaml, err := exec.Command(binaries["kubectl"], "kustomize", dir).Output()
			if err != nil || !bytes.Equal(yaml, out.YAML) {
				t.Errorf("kubectl (%v):\n%s\nin memory:\n%s", err, yaml, out.YAML)
			}
		})
	}
}

// written is a folder with the release's overlay.
func written(t *testing.T, fsys fs.FS, r *registry.Release) string {
	t.Helper()
	tree, err := render.Overlay(fsys, r, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	return laid(t, tree)
}

// laid is a folder with the files of a tree.
func laid(t *testing.T, tree map[string][]byte) string {
	t.Helper()
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
	return dir
}

func TestSameBytesEachTimeAndConcurrently(t *testing.T) {
	fsys := iris(t, nil)
	r := release(t, fsys)
	want, err := render.Release(fsys, r, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
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
