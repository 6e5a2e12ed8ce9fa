package registry_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

func TestAffected(t *testing.T) {
	for _, c := range []struct {
		path     string
		releases []string
		models   []string
		shared   bool
	}{
		{"releases/iris/production.yaml", []string{"iris"}, nil, false},
		{"teams/a/releases/rose/production/patch.yaml", []string{"rose"}, nil, false},
		{"models/iris/versions/v2.yaml", nil, []string{"iris"}, false},
		{"teams/a/models/rose/model.yaml", nil, []string{"rose"}, false},
		{"models/iris/training/tune.yaml", nil, nil, false},
		{"models/iris/README.md", nil, nil, false},
		{"teams/a/team.yaml", nil, nil, false},
		{"README.md", nil, nil, false},
		{".github/workflows/ci.yaml", nil, nil, false},
		{"davit.yaml", nil, nil, true},
		{"environments/production/kustomization.yaml", nil, nil, true},
		{"runtimes/custom/1.0/deployment.yaml", nil, nil, true},
		{"accelerators/gpu/accelerator.yaml", nil, nil, true},
	} {
		releases, models, shared := registry.Affected([]string{c.path})
		if got := slices.Collect(maps.Keys(releases)); !slices.Equal(got, c.releases) || shared != c.shared {
			t.Errorf("%s: releases %v, shared %v", c.path, got, shared)
		}
		if got := slices.Collect(maps.Keys(models)); !slices.Equal(got, c.models) {
			t.Errorf("%s: models %v", c.path, got)
		}
	}
}

func TestLoadVersion(t *testing.T) {
	fsys := base(t)
	name := "models/iris/versions/v1.yaml"
	want := load(t, fsys).Models["iris"].Versions["v1"]
	got, err := registry.LoadVersion(fsys, name)
	if err != nil || got.String() != "iris@v1" || got.Path != name || !slices.Equal(got.Spec.Files, want.Spec.Files) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := registry.LoadVersion(fsys, "models/iris/versions/v9.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	fsys[name] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec: {}\n")}
	if _, err := registry.LoadVersion(fsys, name); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("faulty: %v", err)
	}
	if _, err := registry.LoadVersion(failing{base(t), name}, name); !errors.Is(err, errDisk) {
		t.Errorf("unreadable: %v", err)
	}
}
