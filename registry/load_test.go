package registry_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/registry"
)

var update = flag.Bool("update", false, "rewrite the golden sections")

// base is a sound registry; a case lays its files over it (an empty file removes).
func base(t testing.TB) fstest.MapFS { return readArchive(t, "testdata/base.txtar").fs(nil) }

type archive struct{ *txtar.Archive }

func readArchive(t testing.TB, name string) archive {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return archive{a}
}

func (a archive) fs(under fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range under {
		out[name] = f
	}
	for _, f := range a.Files {
		switch {
		case f.Name == "want":
		case len(f.Data) == 0:
			delete(out, f.Name)
		default:
			out[f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return out
}

// TestLoad compares what a registry says, faults and releases, with each case's section "want".
func TestLoad(t *testing.T) {
	cases, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a := readArchive(t, name)
			got := describe(a.fs(base(t)))
			for i, f := range a.Files {
				if f.Name != "want" {
					continue
				}
				if *update {
					a.Files[i].Data = []byte(got)
					if err := os.WriteFile(name, txtar.Format(a.Archive), 0o644); err != nil {
						t.Fatal(err)
					}
				} else if got != string(f.Data) {
					t.Errorf("got:\n%s\nwant:\n%s", got, f.Data)
				}
				return
			}
			t.Error("the case has no section want")
		})
	}
}

func describe(fsys fstest.MapFS) string {
	reg, err := registry.Load(fsys)
	if err != nil {
		return "error " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, f := range reg.Faults {
		b.WriteString(f.String() + "\n")
	}
	for _, r := range reg.Releases {
		b.WriteString("release " + r.Key().String() + " " + r.ModelVersion.String() + " " + r.Runtime.String() + "\n")
	}
	for _, key := range reg.BrokenKeys() {
		b.WriteString("broken " + key.String() + "\n")
	}
	for _, key := range slices.Sorted(maps.Keys(reg.Trainings)) {
		t := reg.Trainings[key]
		fmt.Fprintf(&b, "training %s in %s from %v on %d\n", key, t.Environment.Name, t.BaseVersion, t.Nodes())
	}
	for _, key := range slices.Sorted(maps.Keys(reg.BrokenTrainings)) {
		b.WriteString("broken training " + key + "\n")
	}
	return b.String()
}

func TestMergeReleaseOverServing(t *testing.T) {
	fsys := base(t)
	fsys["davit.yaml"] = &fstest.MapFile{Data: []byte(`apiVersion: davit.dev/v1alpha1
kind: Registry
spec:
  images: 127.0.0.1:5000/models
  defaults: {resources: {cpu: 1}, args: {log: warn}}
`)}
	fsys["releases/iris/production.yaml"] = &fstest.MapFile{Data: []byte(`apiVersion: davit.dev/v1alpha1
kind: Release
spec:

  version: v1

  args: {threads: 8, log: null}
  env: {TOKEN: {secret: hf, key: token}}
  resources: {memory: 2Gi}
  replicas: 3
`)}
	reg, err := registry.Load(fsys)
	if err != nil || len(reg.Faults) > 0 {
		t.Fatal(err, reg.Faults)
	}
	s := reg.Release(registry.Key{Environment: "production", Name: "iris"}).Serving
	if *s.Replicas != 3 || s.Args["threads"].Value != "8" || s.Args["verbose"] != (registry.Arg{Value: "true", True: true}) {
		t.Errorf("replicas and args: %+v", s)
	}
	if _, there := s.Args["log"]; there {
		t.Error("null did not delete args.log of the defaults")
	}
	if s.Env["TOKEN"] != (registry.EnvVar{Secret: "hf", Key: "token"}) || s.Env["HOME"].Value != "/tmp" {
		t.Errorf("env did not merge: %v", s.Env)
	}
	if s.Resources["cpu"] != "1" || s.Resources["memory"] != "2Gi" {
		t.Errorf("resources did not merge: %v", s.Resources)
	}
}

func TestInputKeyFollowsWhatRenderingOpens(t *testing.T) {
	keyOf := func(fsys fstest.MapFS) string {
		t.Helper()
		reg, err := registry.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		r := reg.Release(registry.Key{Environment: "production", Name: "iris"})
		if r == nil {
			t.Fatal(reg.Faults)
		}
		key, err := r.InputKey(fsys, "layout 1")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	sound := func() fstest.MapFS {
		fsys := base(t)
		serving := string(fsys["releases/iris/serving.yaml"].Data) + "  accelerator: gpu\n  gpus: 1\n"
		fsys["releases/iris/serving.yaml"] = &fstest.MapFile{Data: []byte(serving)}
		return fsys
	}
	was := keyOf(sound())
	for name, moves := range map[string]bool{
		"davit.yaml": true,
		"environments/production/environment.yaml":    false, // a comment is no field; see TestPolicyIsNoInput
		"environments/staging/environment.yaml":       false,
		"runtimes/custom/1.0/deployment.yaml":         true,
		"models/iris/versions/v1.yaml":                true,
		"models/iris/versions/v2.yaml":                false,
		"models/iris/model.yaml":                      false,
		"releases/iris/serving.yaml":                  true,
		"releases/iris/production.yaml":               true,
		"releases/iris/staging.yaml":                  false,
		"releases/iris/kustomization.yaml":            true,
		"releases/iris/production/kustomization.yaml": true,
		"releases/iris/staging/kustomization.yaml":    false,
		"releases/iris/README.md":                     false,
		"runtimes/custom/1.0/nested/patch.yaml":       true,
		"runtimes/custom/2.0/deployment.yaml":         false,
		"accelerators/gpu/patch.yaml":                 true,
		"accelerators/tpu/patch.yaml":                 false,
		"environments/production/kustomization.yaml":  true,
		"environments/staging/kustomization.yaml":     false,
		"environments/production/README.md":           false, // no Component yet
		"README.md":                                   false,
	} {
		fsys := sound()
		var was2 []byte
		if f := fsys[name]; f != nil {
			was2 = f.Data
		}
		fsys[name] = &fstest.MapFile{Data: append(append([]byte{}, was2...), "# a comment\n"...)}
		if got := keyOf(fsys); (got != was) != moves {
			t.Errorf("%s: key moved: %v, want %v", name, got != was, moves)
		}
	}

	// With Components, any file of theirs may be read, but never another environment's.
	layered := sound()
	for _, dir := range []string{"environments/production", "releases/iris", "releases/iris/production"} {
		layered[dir+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte("kind: Component\n")}
	}
	was = keyOf(layered)
	for name, moves := range map[string]bool{
		"environments/production/README.md":      true,
		"environments/staging/patch.yaml":        false,
		"releases/iris/notes.txt":                true,
		"releases/iris/production/a/b.yaml":      true,
		"releases/iris/staging/a/b.yaml":         false,
		"releases/iris/staging.yaml":             false,
		"releases/other/production/a/b.yaml":     false,
		"models/iris/files/v1/model.safetensors": false,
	} {
		fsys := maps.Clone(layered)
		fsys[name] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: Release\nspec: {version: v1}\n")}
		if got := keyOf(fsys); (got != was) != moves {
			t.Errorf("with components, %s: key moved: %v, want %v", name, got != was, moves)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"releases/iris/production.yaml", "releases/iris/serving.yaml", "models/iris/versions/v1.yaml", "environments/production/environment.yaml", "davit.yaml"} {
		f.Add(base(f)[name].Data)
	}
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {fleet: {waves: [1, 10%]}, healthCheckExprs: [{apiVersion: v1, kind: A, current: object.a}]}"))
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: Release\nspec: {version: v1, dependsOn: [iris, [a], null]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sound := base(t)
		reg := load(t, sound)
		for _, name := range []string{"releases/iris/production.yaml", "releases/iris/serving.yaml", "models/iris/versions/v1.yaml",
			"environments/production/environment.yaml", "davit.yaml", "runtimes/custom/1.0/runtime.yaml", "teams/a/team.yaml"} {
			fsys := maps.Clone(sound)
			fsys[name] = &fstest.MapFile{Data: data}
			updated, err := reg.Update(fsys, []string{name})
			if err != nil {
				t.Fatal(err)
			}
			if d := difference(updated, load(t, fsys)); d != "" {
				t.Fatalf("%s: Update and Load differ in %s", name, d)
			}
		}
	})
}

// TestFolderInPlaceOfAFile costs the release it is in, whatever the file.
func TestFolderInPlaceOfAFile(t *testing.T) {
	production, staging := registry.Key{Environment: "production", Name: "iris"}, registry.Key{Environment: "staging", Name: "iris"}
	for name, broken := range map[string][]registry.Key{
		"releases/new/serving.yaml":                nil,
		"models/iris/model.yaml":                   {production, staging},
		"environments/production/environment.yaml": {production},
		"runtimes/custom/1.0/runtime.yaml":         {production, staging},
		"davit.yaml":                               {production, staging},
	} {
		fsys := base(t)
		if strings.HasPrefix(name, "releases/new") {
			fsys["releases/new/production.yaml"] = fsys["releases/iris/production.yaml"]
			broken = append(broken, registry.Key{Environment: "production", Name: "new"})
		}
		delete(fsys, name)
		fsys[name+"/file"] = &fstest.MapFile{Data: []byte("x")}
		models, err := registry.Load(fsys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, key := range broken {
			if models.Broken[key] == nil || models.Release(key) != nil {
				t.Errorf("%s: %s is not broken", name, key)
			}
		}
		if len(models.Broken) != len(broken) {
			t.Errorf("%s: broken are %v", name, models.BrokenKeys())
		}
		if got := models.Faults[0].String(); !strings.HasPrefix(got, name+":1: not a file") {
			t.Errorf("%s: %s", name, got)
		}
	}

	fsys := base(t)
	fsys["releases/iris/production/kustomization.yaml/file"] = &fstest.MapFile{Data: []byte("x")}
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range models.Releases {
		if _, err := r.InputKey(fsys); err != nil {
			t.Errorf("input key of %s: %v", r.Key(), err)
		}
	}
}
