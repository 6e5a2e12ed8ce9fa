package registry_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

// large is a registry of n models and n releases, four files each pair, in some teams' folders or (0) at the root.
func large(t testing.TB, n, teams int) map[string]string {
	files := map[string]string{}
	for name, f := range base(t) {
		if !strings.HasPrefix(name, "models/") && !strings.HasPrefix(name, "releases/") {
			files[name] = string(f.Data)
		}
	}
	for i := range n {
		at := ""
		if teams > 0 {
			at = fmt.Sprintf("teams/team-%02d/", i%teams)
			files[at+"team.yaml"] = "apiVersion: davit.dev/v1alpha1\nkind: Team\nspec: {owners: [a]}\n"
		}
		name := fmt.Sprintf("model-%05d", i)
		files[at+"models/"+name+"/model.yaml"] = "apiVersion: davit.dev/v1alpha1\nkind: Model\nspec:\n  description: Model " + name + "\n  task: classification\n  owners: [team-flowers]\n  license: apache-2.0\n"
		files[at+"models/"+name+"/versions/v1.yaml"] = fmt.Sprintf(`apiVersion: davit.dev/v1alpha1
kind: ModelVersion
spec:
  format: safetensors
  files:
    - path: model.safetensors
      source: https://models.example.com/%s/v1/model.safetensors
      sha256: %x
      size: %d
  metrics: {accuracy: 0.9%d}
`, name, sha256.Sum256([]byte(name)), 1000+i, i)
		files[at+"releases/"+name+"/serving.yaml"] = "apiVersion: davit.dev/v1alpha1\nkind: Serving\nspec:\n  model: " + name + `
  runtime: custom
  accelerator: gpu
  gpus: 1
  args: {verbose: true, threads: 4, max-model-len: 32768}
  env: {HOME: /tmp, TOKEN: {secret: hf, key: token}}
  resources: {cpu: 4, memory: 16Gi}
  replicas: 2
  rollout: {strategy: inPlace, startupTimeout: 20m}
  smokeTest: {path: /v2/health/ready}
`
		files[at+"releases/"+name+"/production.yaml"] = "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n\n  version: v1\n"
	}
	return files
}

// sizes are the registries measured: releases, and teams they are spread over.
var sizes = []struct{ releases, teams int }{{100, 0}, {1000, 0}, {1000, 10}, {10000, 0}, {10000, 100}}

func sized(b *testing.B, run func(b *testing.B, files map[string]string, n int)) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("releases=%d/teams=%d", size.releases, size.teams), func(b *testing.B) {
			run(b, large(b, size.releases, size.teams), size.releases)
		})
	}
}

func must(b *testing.B, n int) func(*registry.Registry, error) *registry.Registry {
	return func(reg *registry.Registry, err error) *registry.Registry {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		if len(reg.Releases) != n || len(reg.Faults) > 0 {
			b.Fatal(err, reg.Faults[:min(3, len(reg.Faults))])
		}
		return reg
	}
}

// BenchmarkLoad reads a registry cold from a folder and from memory; the peer reads and parses the same YAML
// files on one core and checks nothing. heap-MiB is what the registry holds.
func BenchmarkLoad(b *testing.B) {
	sized(b, func(b *testing.B, files map[string]string, n int) {
		dir := b.TempDir()
		for name, text := range files {
			name = filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		for name, fsys := range map[string]fs.FS{"folder": os.DirFS(dir), "memory": newBlobs(files)} {
			b.Run(name+"/davit", func(b *testing.B) {
				before := heap()
				var reg *registry.Registry
				cpu := cpuTime(b)
				for b.Loop() {
					reg = must(b, n)(registry.Load(fsys))
				}
				b.ReportMetric(float64((cpuTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
				b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MiB")
				runtime.KeepAlive(reg)
			})
			b.Run(name+"/yaml-only", func(b *testing.B) {
				cpu := cpuTime(b)
				for b.Loop() {
					yamlOnly(b, fsys)
				}
				b.ReportMetric(float64((cpuTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
			})
		}
	})
}

func yamlOnly(b *testing.B, fsys fs.FS) {
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

// cpuTime is what the process used, on all cores: of use on a machine that others work on too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkUpdate changes one line to and fro: a release's version file, its model's, and one of a runtime
// that every release uses.
func BenchmarkUpdate(b *testing.B) {
	sized(b, func(b *testing.B, files map[string]string, n int) {
		reg := must(b, n)(registry.Load(newBlobs(files)))
		find := func(suffix string) string {
			for name := range files {
				if strings.HasSuffix(name, suffix) {
					return name
				}
			}
			b.Fatal("no ", suffix)
			return ""
		}
		for _, name := range []string{find("releases/model-00042/production.yaml"), find("models/model-00042/versions/v1.yaml"), "runtimes/custom/1.0/runtime.yaml", "README.md"} {
			edited := maps.Clone(files)
			edited[name] += "# edited\n"
			trees := [2]fs.FS{newBlobs(edited), newBlobs(files)}
			b.Run(filepath.Base(name), func(b *testing.B) {
				b.ReportAllocs()
				at, i := reg, 0
				cpu := cpuTime(b)
				for b.Loop() {
					at = must(b, n)(at.Update(trees[i%2], []string{name}))
					i++
				}
				b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
				b.ReportMetric(float64(len(at.Touched())), "touched")
			})
		}
	})
}

// BenchmarkInputKey is of one release with a file system that knows its blobs.
func BenchmarkInputKey(b *testing.B) {
	fsys := newBlobs(large(b, 1000, 0))
	reg := must(b, 1000)(registry.Load(fsys))
	i := 0
	for b.Loop() {
		if _, err := reg.Releases[i%1000].InputKey(fsys, "layout 1", "renderer 1"); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkLoadRelease reads one release of many.
func BenchmarkLoadRelease(b *testing.B) {
	sized(b, func(b *testing.B, files map[string]string, _ int) {
		fsys := newBlobs(files)
		for b.Loop() {
			must(b, 1)(registry.LoadRelease(fsys, registry.Key{Environment: "production", Name: "model-00042"}))
		}
	})
}
