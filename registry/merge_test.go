package registry_test

import (
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

// TestAlternatives lays replicas and autoscale over one another, from the defaults to the Release: the topmost holds, and
// null takes away no more than its own.
func TestAlternatives(t *testing.T) {
	const replicas, autoscale = "replicas: 2", "autoscale: {min: 3, max: 9, metric: queue_length, target: 4}"
	for _, c := range []struct {
		defaults, serving, release, want string
	}{
		{replicas, "", "", replicas},
		{autoscale, "", "", autoscale},
		{replicas, autoscale, "", autoscale},
		{autoscale, replicas, "", replicas},
		{autoscale, "", replicas, replicas},
		{replicas, "", autoscale, autoscale},
		{"", autoscale, replicas, replicas},
		{"", replicas, autoscale, autoscale},
		{autoscale, replicas, autoscale, autoscale},
		{"", replicas, "autoscale: null", replicas},
		{"", autoscale, "autoscale: null", ""},
		{replicas, autoscale, "autoscale: null", ""},
	} {
		fsys := base(t)
		lay := func(name, kind, spec string) {
			fsys[name] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: " + kind + "\nspec:\n" + spec)}
		}
		lay("davit.yaml", "Registry", "  images: 127.0.0.1:5000/models\n  defaults: {"+c.defaults+"}\n")
		lay("environments/production/environment.yaml", "Environment", "  capabilities: {features: [customMetrics]}\n  runtimes: {custom: \"1.0\"}\n")
		lay("releases/iris/serving.yaml", "Serving", "  model: iris\n  runtime: custom\n  "+c.serving+"\n")
		lay("releases/iris/production.yaml", "Release", "  version: v1\n  "+c.release+"\n")
		models, err := registry.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		r := models.Release(registry.Key{Environment: "production", Name: "iris"})
		if r == nil {
			t.Errorf("%+v: %v", c, models.Faults)
			continue
		}
		got := ""
		if n := r.Serving.Replicas; n != nil && *n == 2 {
			got += replicas
		}
		if a := r.Serving.Autoscale; a != nil && a.Min == 3 {
			got += autoscale
		}
		if got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}
