package registry_test

import (
	"slices"
	"testing"

	"github.com/davit-dev/davit/registry"
)

func TestTouches(t *testing.T) {
	got := registry.Touches([]string{
		".github/x.yaml", "README.md", "accelerators/h100/accelerator.yaml", "davit.yaml", "environments/production/environment.yaml",
		"environments/production/kustomization.yaml", "models/iris/README.md", "models/iris/bad/v2.yaml", "models/iris/files/v1/model.safetensors",
		"models/iris/model.yaml", "models/iris/training/weekly.yaml", "models/iris/versions/v3.yaml", "models/iris/versions/more/v4.yaml",
		"releases/iris/production.yaml", "releases/iris/serving.yaml", "runtimes/vllm/0.12.1/runtime.yaml", "teams/.x/team.yaml", "teams/ads/models/ctr/versions/v1.yaml", "teams/ads/team.yaml",
	})
	want := []registry.Touch{
		{Kind: "accelerator", Name: "h100", Path: "accelerators/h100/accelerator.yaml"},
		{Kind: "registry", Name: "davit.yaml", Path: "davit.yaml"},
		{Kind: "environment", Name: "production", Path: "environments/production/environment.yaml"},
		{Kind: "card", Name: "iris", Path: "models/iris/README.md"},
		{Kind: "mark", Name: "iris@v2", Path: "models/iris/bad/v2.yaml"},
		{Kind: "model", Name: "iris", Path: "models/iris/model.yaml"},
		{Kind: "training", Name: "iris/weekly", Path: "models/iris/training/weekly.yaml"},
		{Kind: "version", Name: "iris@v3", Path: "models/iris/versions/v3.yaml"},
		{Kind: "release", Name: "iris", Path: "releases/iris/production.yaml"},
		{Kind: "runtime", Name: "vllm@0.12.1", Path: "runtimes/vllm/0.12.1/runtime.yaml"},
		{Kind: "version", Name: "ctr@v1", Path: "teams/ads/models/ctr/versions/v1.yaml"},
		{Kind: "team", Name: "ads", Path: "teams/ads/team.yaml"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("touches\n%v, want\n%v", got, want)
	}
}
