package render_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// identified is a file system whose blob ids are known beforehand, as a snapshot's are.
type identified struct {
	fstest.MapFS
	ids map[string]string
}

func (f identified) BlobHash(name string) (string, error) { return f.ids[name], nil }

// BenchmarkRelease renders releases of one runtime that differ in names and values: "cold" as a build each,
// "warm" by a Renderer, and beside it "peer", one plain Kustomize build of the finished overlay.
// Run it with -cpu 1,2.
func BenchmarkRelease(b *testing.B) {
	fsys := identified{iris(b, nil), map[string]string{}}
	for name := range fsys.MapFS {
		fsys.ids[name] = name
	}
	first := release(b, fsys)
	releases := make([]*registry.Release, 1000)
	for i := range releases {
		r, model := *first, *first.Model
		r.Name, model.Name = fmt.Sprintf("iris%d", i), fmt.Sprintf("model%d", i)
		r.Model, r.Serving.Args = &model, map[string]registry.Arg{"model-name": {Value: model.Name}}
		releases[i] = &r
	}
	each := func(b *testing.B, do func(r *registry.Release) error) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if err := do(releases[i%len(releases)]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Run("cold", func(b *testing.B) {
		each(b, func(r *registry.Release) error {
			_, err := render.Release(fsys, r, modelImage)
			return err
		})
	})
	b.Run("warm", func(b *testing.B) {
		var renderer render.Renderer
		each(b, func(r *registry.Release) error {
			_, err := renderer.Release(fsys, r, modelImage)
			return err
		})
	})
	b.Run("peer", func(b *testing.B) {
		tree, err := render.Overlay(fsys, first, modelImage)
		if err != nil {
			b.Fatal(err)
		}
		each(b, func(*registry.Release) error {
			memory := filesys.MakeFsInMemory()
			for name, data := range tree {
				if err := memory.WriteFile("/"+name, data); err != nil {
					return err
				}
			}
			options := krusty.MakeDefaultOptions()
			options.Reorder, options.PluginConfig = krusty.ReorderOptionUnspecified, types.DisabledPluginConfig()
			built, err := krusty.MakeKustomizer(options).Run(memory, "/production/iris")
			if err != nil {
				return err
			}
			_, err = built.AsYaml()
			return err
		})
	})
}
