package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says what each package may import of davit's own; what is not listed may import nothing of it.
var arrows = map[string][]string{
	"cmd/davit":                        {"reconciler", "reconciler/history", "reconciler/lineage", "reconciler/made", "reconciler/runs", "reconciler/install", "reconciler/plan", "reconciler/status", "reconciler/why", "reconciler/fleet", "reconciler/web", "reconciler/cluster", "reconciler/v1alpha1", "registry", "registry/gate", "registry/image", "render", "render/catalog", "gitops", "gitops/forge", "reconciler/cluster/capacity", "reconciler/credentials", "reconciler/metrics", "reconciler/tracing", "reconciler/monitor", "reconciler/sops"},
	"reconciler":                       {"reconciler/cluster", "reconciler/history", "reconciler/made", "reconciler/plan", "reconciler/v1alpha1", "registry", "registry/gate", "registry/image", "render", "gitops", "gitops/forge", "reconciler/credentials", "reconciler/notify", "reconciler/metrics", "reconciler/tracing", "reconciler/monitor", "reconciler/sops"},
	"reconciler/credentials":           {"gitops", "gitops/forge"},
	"reconciler/fleet":                 {"reconciler/cluster", "reconciler/history", "reconciler/plan", "reconciler/status", "reconciler/v1alpha1", "registry", "registry/gate", "render", "gitops", "reconciler/cluster/capacity", "reconciler/runs", "registry/image", "reconciler/lineage"},
	"reconciler/web":                   {"reconciler/fleet", "registry", "gitops", "reconciler/lineage"},
	"reconciler/history":               {"reconciler/v1alpha1", "registry", "gitops"},
	"reconciler/lineage":               {"gitops", "reconciler/history", "registry"},
	"reconciler/made":                  {"gitops", "reconciler/plan", "registry", "registry/gate", "registry/image"},
	"reconciler/notify":                {"gitops", "gitops/forge"},
	"reconciler/monitor":               {"registry"},
	"reconciler/monitor/promtest":      {"deploy/devcluster"},
	"reconciler/plan":                  {"registry", "registry/gate", "registry/image", "render"},
	"reconciler/runs":                  {"reconciler/cluster", "registry", "gitops"},
	"reconciler/status":                {"reconciler", "gitops", "reconciler/history", "reconciler/v1alpha1", "registry", "registry/gate", "registry/image", "render"},
	"reconciler/why":                   {"gitops", "registry", "render"},
	"reconciler/cluster":               {"reconciler/cluster/capacity", "reconciler/v1alpha1", "deploy/crds", "reconciler/sops"},
	"reconciler/install":               {"deploy"},
	"registry/gate":                    {"registry"},
	"registry/image":                   {"registry"},
	"render":                           {"registry"},
	"render/catalog":                   {"registry"},
	"deploy/devcluster":                {"deploy/devcluster/planted"},
	"deploy/devcluster/cmd/devcluster": {"deploy/devcluster"},
	"deploy/devcluster/cmd/told":       {"deploy/devcluster/planted"},
	"examples/finetune/demo":           {"deploy/devcluster", "examples/stage"},
	"examples/finetune/trainer":        {"examples/iris/safetensors"},
	"examples/images":                  {"deploy/devcluster"},
	"examples/iris/demo":               {"deploy/devcluster", "examples/stage"},
	"examples/iris/serve":              {"examples/iris/safetensors"},
	"examples/iris/train":              {"examples/iris/safetensors"},
	"examples/llm/demo":                {"deploy/devcluster", "examples/stage"},
	"examples/mig/demo":                {"deploy/devcluster", "examples/stage"},
	"examples/regions/demo":            {"deploy/devcluster", "examples/stage"},
	"examples/stage":                   {"deploy/devcluster"},
}

// outside says which packages alone may import a module, by the beginning of its path.
var outside = map[string][]string{
	"k8s.io/client-go/dynamic":                 {"reconciler/cluster"},
	"k8s.io/client-go/kubernetes":              {"reconciler/cluster"},
	"github.com/go-git/":                       {"gitops"},
	"sigs.k8s.io/kustomize/":                   {"reconciler/install", "render"},
	"github.com/google/go-containerregistry/":  {"registry/image", "deploy/image"},
	"github.com/fsnotify/":                     {"gitops"},
	"github.com/drone/go-scm/":                 {"gitops/forge"},
	"github.com/prometheus/client_golang/prom": {"reconciler/metrics"},
	"go.opentelemetry.io/otel/sdk":             {"reconciler/tracing"},
	"github.com/prometheus/client_golang/api":  {"reconciler/monitor"},
}

const module = "github.com/davit-dev/davit/"

// TestArrows holds the code against the direction of knowledge and prints each wrong arrow.
func TestArrows(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../..", func(name string, e fs.DirEntry, err error) error {
		rel := filepath.ToSlash(strings.TrimPrefix(name, "../../"))
		switch {
		case err != nil:
			return err
		case e.IsDir() && (strings.HasPrefix(e.Name(), ".") && e.Name() != ".." || rel == "deploy/devcluster/build" || e.Name() == "testdata"):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go"):
			return nil
		}
		seen++
		if base := filepath.Base(filepath.Dir(rel)); slices.Contains([]string{"util", "utils", "common", "helpers", "types"}, base) {
			t.Errorf("%s: a package called %s says nothing of what it does", rel, base)
		}
		dir := rel[:max(strings.LastIndex(rel, "/"), 0)]
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := wrong(dir, path); why != "" {
				t.Errorf("%s: %s", rel, why)
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("%d files read: %v", seen, err)
	}
	if why := wrong("render", module+"gitops"); why == "" {
		t.Error("the test does not see a wrong arrow")
	}
}

func wrong(dir, path string) string {
	if dir == "examples/scale" || strings.HasPrefix(dir, "examples/scale/") {
		return "" // it measures all of them against plain clients, and nothing imports it
	}
	if own, ok := strings.CutPrefix(path, module); ok {
		if !slices.Contains(arrows[dir], own) {
			return dir + " -> " + own + " is a wrong arrow"
		}
		return ""
	}
	if dir == "deploy/devcluster" && strings.Contains(strings.Split(path, "/")[0], ".") {
		return dir + " -> " + path + ": the standard library only"
	}
	for prefix, may := range outside {
		if strings.HasPrefix(path, prefix) && !slices.Contains(may, dir) {
			return dir + " -> " + path + ": only " + strings.Join(may, ", ") + " may"
		}
	}
	return ""
}

// TestTopLevel holds the agreed layout.
func TestTopLevel(t *testing.T) {
	agreed := strings.Fields("cmd reconciler registry render gitops deploy examples go.mod go.sum Makefile README.md LICENSE bin")
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(agreed, e.Name()) {
			t.Errorf("%s is not part of the layout", e.Name())
		}
	}
}
