package catalog_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
	"github.com/davit-dev/davit/render/catalog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const golden = "testdata/golden"

// combination is a release of the catalog's parts, with everything beside it that its environment can ask for.
type combination struct {
	runtime, accelerator, strategy string
	nodes                          int
	old                            bool // a Kubernetes that mounts no images
}

var strategies = []string{registry.InPlace, registry.Surge, registry.Recreate, registry.BlueGreen, registry.Canary}

// formats are what each runtime is given to serve.
var formats = map[string]string{
	"custom": "safetensors", "kserve": "safetensors", "mlserver": "sklearn", "onnx": "onnx", "triton": "tensorrt", "vllm": "safetensors",
}

// combinations are all that make a difference: an accelerator that is like another but for a name has one strategy only.
func combinations() (all []combination) {
	for _, rt := range []string{"custom", "triton", "vllm"} {
		for _, acc := range []string{"nvidia", "h100", "mi300x", "mig-1g.10gb", "h100-dra"} {
			for _, strategy := range strategies {
				all = append(all, combination{runtime: rt, accelerator: acc, strategy: strategy})
			}
		}
		for _, acc := range []string{"a100", "l4", "mig-3g.40gb"} {
			all = append(all, combination{runtime: rt, accelerator: acc, strategy: registry.InPlace})
		}
	}
	for _, strategy := range strategies {
		for _, rt := range []string{"custom", "mlserver", "onnx"} {
			all = append(all, combination{runtime: rt, strategy: strategy})
		}
		all = append(all, combination{runtime: "vllm", accelerator: "h100", strategy: strategy, nodes: 2})
	}
	for _, acc := range []string{"", "nvidia", "l4", "mi300x", "mig-1g.10gb"} {
		all = append(all, combination{runtime: "kserve", accelerator: acc})
	}
	for _, rt := range []string{"custom", "mlserver", "onnx"} {
		all = append(all, combination{runtime: rt, strategy: registry.InPlace, old: true})
	}
	return append(all,
		combination{runtime: "kserve", accelerator: "nvidia", old: true}, // KServe brings the model's files by itself
		combination{runtime: "triton", accelerator: "nvidia", strategy: registry.InPlace, old: true},
		combination{runtime: "vllm", accelerator: "nvidia", strategy: registry.BlueGreen, old: true},
		combination{runtime: "vllm", accelerator: "h100-dra", strategy: registry.InPlace, nodes: 2, old: true},
	)
}

// String is the combination's file below the golden folder.
func (c combination) String() string {
	parts := []string{"none"}
	if c.accelerator != "" {
		parts[0] = c.accelerator
	}
	if c.strategy != "" {
		parts = append(parts, c.strategy)
	}
	if c.nodes > 0 {
		parts = append(parts, fmt.Sprint(c.nodes), "nodes")
	}
	if c.old {
		parts = append(parts, "loader")
	}
	return filepath.Join(c.runtime, strings.Join(parts, "-")+".yaml")
}

// serving is the fields of the Serving, for repository. The number of replicas is fixed with some strategies and follows a
// metric with others; kserve has no Service for a route to lead to.
func (c combination) serving() string {
	scale := ", replicas: 2"
	switch {
	case c.strategy == registry.Surge, c.runtime == "kserve" && c.accelerator == "l4":
		scale = ", autoscale: {min: 2, max: 6, metric: cpu, target: 70}"
	case c.strategy == registry.Canary:
		scale = ", autoscale: {min: 2, max: 6, metric: requests_running, target: 8}"
	}
	s := scale + `, resources: {cpu: 4, memory: 16Gi}, args: {log-level: info}, env: {HF_HOME: /tmp/hf, TOKEN: {secret: hf, key: token}}`
	if c.accelerator != "" {
		s += ", accelerator: " + c.accelerator + ", gpus: 2"
	}
	if c.nodes > 0 {
		s += fmt.Sprintf(", nodes: %d", c.nodes)
	}
	if c.strategy != "" {
		s += ", rollout: {strategy: " + c.strategy + ", startupTimeout: 20m}, route: {hostname: m.models.example.com, gateway: gateways/inference}"
	}
	return s
}

// environment is one that has and wants everything.
func (c combination) environment(version string) string {
	kubernetes, loader := "1.37", ""
	features := []string{registry.GatewayAPI, registry.JobSet, registry.LeaderWorkerSet, registry.Kueue, registry.KServe,
		registry.PrometheusOperator, registry.DRA, registry.Metrics, registry.CustomMetrics}
	if c.old {
		kubernetes, loader = "1.34", "\n  modelLoader: {image: registry.example.com/davit@sha256:"+zeros+", pullSecret: registry}"
	}
	return fmt.Sprintf(`apiVersion: davit.dev/v1alpha1
kind: Environment
spec:
  namespace: models
  capabilities: {kubernetes: %q, features: [%s]}
  allowCode: [pickle]
  runtimes: {%s: %q}
  serving: {disruptionBudget: true, serviceMonitor: true, networkPolicy: {namespaces: [gateways, monitoring]}}%s
`, kubernetes, strings.Join(features, ", "), c.runtime, version, loader)
}

// registry is the combination's, of the catalog's own files.
func (c combination) registry(t *testing.T) fstest.MapFS {
	t.Helper()
	rt, err := catalog.FindRuntime(c.runtime)
	if err != nil {
		t.Fatal(err)
	}
	var acc *catalog.Accelerator
	if c.accelerator != "" {
		found, err := catalog.FindAccelerator(c.accelerator)
		if err != nil {
			t.Fatal(err)
		}
		acc = &found
	}
	fsys := repository(formats[c.runtime], rt, acc, c.serving())
	fsys["environments/production/environment.yaml"] = &fstest.MapFile{Data: []byte(c.environment(rt.Newest()))}
	return fsys
}

// TestGolden compares the objects of each combination with its file.
func TestGolden(t *testing.T) {
	var wanted []string
	for _, c := range combinations() {
		wanted = append(wanted, filepath.Join(golden, c.String()))
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			fsys := c.registry(t)
			out, err := render.Release(fsys, load(t, fsys), modelImage)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(golden, c.String())
			if *update {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, out.YAML, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if string(out.YAML) != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", out.YAML, want)
			}
		})
	}
	err := filepath.WalkDir(golden, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !slices.Contains(wanted, name) {
			t.Errorf("%s is no combination's; remove it", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGoldenHasAll wants each runtime and accelerator of the catalog in a combination.
func TestGoldenHasAll(t *testing.T) {
	has := func(is func(c combination) bool) bool { return slices.ContainsFunc(combinations(), is) }
	for _, rt := range catalog.Runtimes() {
		if !has(func(c combination) bool { return c.runtime == rt.Name }) {
			t.Errorf("runtime %s is in no combination", rt.Name)
		}
	}
	for _, acc := range catalog.Accelerators() {
		if !has(func(c combination) bool { return c.accelerator == acc.Name }) {
			t.Errorf("accelerator %s is in no combination", acc.Name)
		}
	}
}
