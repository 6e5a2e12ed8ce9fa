package generate_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// Every release of both layouts must load and render to the four objects the figures count.
func TestRegistryRenders(t *testing.T) {
	for _, layout := range []generate.Layout{generate.Teams, generate.Flat} {
		t.Run(string(layout), func(t *testing.T) {
			o := generate.Options{Releases: 40, Layout: layout, Replicas: 1, Images: "127.0.0.1:5000/models"}
			dir := t.TempDir()
			if err := generate.Write(dir, o); err != nil {
				t.Fatal(err)
			}
			models, err := registry.Load(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			if len(models.Faults) > 0 || len(models.Releases) != o.Releases || len(models.Models) != generate.Models(o) {
				t.Fatalf("%d releases, %d models, faults %v", len(models.Releases), len(models.Models), models.Faults)
			}
			for i, want := range generate.Releases(o) {
				r := models.Releases[i]
				if r.Name != want.Name || r.Path != want.File || r.Model.Name != want.Model {
					t.Fatalf("release %d is %s in %s, want %+v", i, r.Name, r.Path, want)
				}
			}
			out, err := render.Release(models.FS(), models.Releases[7], "127.0.0.1:5000/models/m@sha256:"+string(bytes.Repeat([]byte("a"), 64)))
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Objects) != generate.Objects {
				t.Fatalf("%d objects, want %d", len(out.Objects), generate.Objects)
			}
			for _, object := range out.Objects {
				if got := generate.ReleaseOf(object.GetName()); got != "r00007" {
					t.Errorf("object %s is taken for release %s", object.GetName(), got)
				}
			}
		})
	}
}

func TestSameBytesTwice(t *testing.T) {
	o := generate.Options{Releases: 25, Layout: generate.Flat, Images: "127.0.0.1:5000/models"}
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if err := generate.Write(dir, o); err != nil {
			t.Fatal(err)
		}
	}
	err := fs.WalkDir(os.DirFS(one), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		a, _ := fs.ReadFile(os.DirFS(one), name)
		b, _ := fs.ReadFile(os.DirFS(two), name)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
