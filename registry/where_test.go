package registry_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

// TestWhere moves what a release says from layer to layer.
func TestWhere(t *testing.T) {
	key := registry.Key{Environment: "production", Name: "iris"}
	where := func(edits map[string]string, field string) string {
		t.Helper()
		fsys := base(t)
		for name, text := range edits {
			fsys[name] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: " + text)}
		}
		reg := load(t, fsys)
		r := reg.Release(key)
		if r == nil {
			t.Fatal(reg.Faults)
		}
		file, line := reg.Where(r, field)
		return fmt.Sprint(file, ":", line)
	}
	const (
		serving = "releases/iris/serving.yaml"
		release = "releases/iris/production.yaml"
		env     = "environments/production/environment.yaml"
	)
	for _, c := range []struct {
		name, field string
		edits       map[string]string
		want        string
	}{
		{"the version", "version", map[string]string{release: "Release\nspec:\n\n  version: v1\n"}, release + ":5"},
		{"the environment's runtime", "runtime", map[string]string{
			serving: "Serving\nspec:\n  model: iris\n  runtime: custom\n", env: "Environment\nspec:\n  runtimes:\n    custom: '1.0'\n",
		}, env + ":5"},
		{"the Serving's runtime", "runtime", map[string]string{serving: "Serving\nspec:\n  model: iris\n  runtime: custom@1.0\n"}, serving + ":5"},
		{"the Release's runtime", "runtime", map[string]string{
			serving: "Serving\nspec:\n  model: iris\n  runtime: custom\n", release: "Release\nspec:\n  version: v1\n  runtime: custom@1.0\n",
		}, release + ":5"},
		{"the defaults' runtime", "runtime", map[string]string{
			serving: "Serving\nspec:\n  model: iris\n", release: "Release\nspec:\n  version: v1\n",
			"davit.yaml": "Registry\nspec:\n  images: registry.example.com/models\n  defaults:\n    runtime: custom@1.0\n",
		}, "davit.yaml:6"},
		{"the model", "model", map[string]string{serving: "Serving\nspec:\n  runtime: custom\n  model: iris\n"}, serving + ":5"},
		{"nothing", "accelerator", map[string]string{serving: "Serving\nspec:\n  runtime: custom\n  model: iris\n"}, serving + ":1"},
	} {
		if got := where(c.edits, c.field); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
