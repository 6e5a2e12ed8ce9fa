package registry_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

// many is a registry of n releases in one environment.
func many(b *testing.B, n int) fstest.MapFS {
	fsys := base(b)
	for i := range n {
		dir := fmt.Sprintf("releases/model-%05d/", i)
		fsys[dir+"serving.yaml"] = fsys["releases/iris/serving.yaml"]
		fsys[dir+"production.yaml"] = fsys["releases/iris/production.yaml"]
	}
	return fsys
}

// BenchmarkLoad reads 1,000 releases; the peer parses the same YAML and checks nothing.
func BenchmarkLoad(b *testing.B) {
	fsys := many(b, 1000)
	b.Run("davit", func(b *testing.B) {
		for b.Loop() {
			models, err := registry.Load(fsys)
			if err != nil || len(models.Releases) < 1000 {
				b.Fatal(err, len(models.Releases))
			}
		}
	})
	b.Run("yaml-only", func(b *testing.B) {
		for b.Loop() {
			for _, f := range fsys {
				var v any
				if err := yaml.Unmarshal(f.Data, &v); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
