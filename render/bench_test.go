package render_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"sync/atomic"
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

func identify(fsys fstest.MapFS) identified {
	f := identified{fsys, map[string]string{}}
	for name, file := range fsys {
		f.ids[name] = fmt.Sprintf("%x", sha256.Sum256(file.Data))
	}
	return f
}

// BenchmarkRelease renders releases of one runtime that differ in names and values: "cold" as a build each,
// "warm" by a Renderer, and beside it "peer", one plain Kustomize build of the finished overlay.
// Run it with -cpu 1,2.
func BenchmarkRelease(b *testing.B) {
	fsys := identify(iris(b, nil))
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
		each(b, func(*registry.Release) error { return kustomize(tree, "production/iris") })
	})
}

// kustomize builds and prints a tree as who knows nothing of davit does.
func kustomize(tree map[string][]byte, dir string) error {
	memory := filesys.MakeFsInMemory()
	for name, data := range tree {
		if err := memory.WriteFile("/"+name, data); err != nil {
			return err
		}
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder, options.PluginConfig = krusty.ReorderOptionUnspecified, types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(memory, "/"+dir)
	if err != nil {
		return err
	}
	_, err = built.AsYaml()
	return err
}

// BenchmarkFleet renders each of 10,000 releases once, as after a new davit or a lost cache: "davit" by one fresh Renderer,
// and beside it "kustomize", a plain build of the finished overlay for each of the first 500. Both have two workers. A
// canary's objects are made twice by davit, which has to find its name too; the peer is spared that.
func BenchmarkFleet(b *testing.B) {
	const size, sample, workers = 10_000, 500, 2
	fleet := newFleet(b, size)
	run := func(b *testing.B, n int, do func(i int) error) {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					if err := do(i); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	report := func(b *testing.B, n int) {
		seconds := b.Elapsed().Seconds() / float64(b.N*n)
		b.ReportMetric(seconds*1000, "ms/release")
		b.ReportMetric(1/seconds, "releases/s")
	}
	b.Run("davit", func(b *testing.B) {
		for b.Loop() {
			var renderer render.Renderer
			run(b, size, func(i int) error {
				_, err := renderer.Release(fleet[i].fsys, fleet[i].release, fleet[i].image)
				return err
			})
		}
		report(b, size)
	})
	b.Run("kustomize", func(b *testing.B) {
		trees := make([]map[string][]byte, sample)
		run(b, sample, func(i int) (err error) {
			trees[i], err = render.Overlay(fleet[i].fsys, fleet[i].release, fleet[i].image)
			return err
		})
		for b.Loop() {
			run(b, sample, func(i int) error { return kustomize(trees[i], fleet[i].release.Key().String()) })
		}
		report(b, sample)
	})
}

type vessel struct {
	fsys    fs.FS
	release *registry.Release
	image   string
}

// newFleet makes n releases of all shapes in turn. They differ in name, hostname, version and arguments, and every fourth
// has an argument more.
func newFleet(b *testing.B, n int) []vessel {
	var shapes []vessel
	all := cases(b)
	for _, name := range []string{"example", "canary", "multinode", "kserve", "loader"} {
		over, _ := split(b, all["testdata/"+name+".txtar"])
		fsys := identify(iris(b, over))
		shapes = append(shapes, vessel{fsys: fsys, release: release(b, fsys)})
	}
	fleet := make([]vessel, n)
	for i := range fleet {
		v := shapes[i%len(shapes)]
		r, model, version := *v.release, *v.release.Model, *v.release.ModelVersion
		r.Name, model.Name, version.Name = fmt.Sprintf("release-%d", i), fmt.Sprintf("model-%d", i), fmt.Sprintf("v%d", i%97)
		r.Model, r.ModelVersion, r.Serving.Args = &model, &version, maps.Clone(r.Serving.Args)
		if r.Serving.Args == nil {
			r.Serving.Args = map[string]registry.Arg{}
		}
		r.Serving.Args["model-name"] = registry.Arg{Value: model.Name}
		if i%4 == 0 {
			r.Serving.Args["threads"] = registry.Arg{Value: fmt.Sprint(i % 31)}
		}
		if r.Serving.Route != nil {
			route := *r.Serving.Route
			route.Hostname = r.Name + ".models.example.com"
			r.Serving.Route = &route
		}
		v.release, v.image = &r, fmt.Sprintf("registry.example.com/models/%s@sha256:%064x", model.Name, i)
		fleet[i] = v
	}
	return fleet
}
