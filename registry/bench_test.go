package registry_test

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

// many is a registry on disk with n releases more in one environment.
func many(b *testing.B, n int) fs.FS {
	b.Helper()
	fsys := base(b)
	for i := range n {
		dir := fmt.Sprintf("releases/model-%05d/", i)
		fsys[dir+"serving.yaml"] = fsys["releases/iris/serving.yaml"]
		fsys[dir+"production.yaml"] = fsys["releases/iris/production.yaml"]
	}
	dir := b.TempDir()
	if err := os.CopyFS(dir, fsys); err != nil {
		b.Fatal(err)
	}
	return os.DirFS(dir)
}

// BenchmarkLoad reads 1,000 releases; the peer reads and parses the same YAML and checks nothing.
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
			err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				data, err := fs.ReadFile(fsys, name)
				if err != nil {
					return err
				}
				var v any
				return yaml.Unmarshal(data, &v)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
