package registry_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

// edits are the contents a path may get; "" removes it.
func edits(t testing.TB) map[string][]string {
	sound := base(t)
	all := map[string][]string{}
	for name, f := range sound {
		text := string(f.Data)
		all[name] = append(slices.Repeat([]string{text, text + "# edited\n"}, 4), "", "a: [", text+"\nmore: 1\n")
	}
	add := func(name string, texts ...string) { all[name] = append(all[name], texts...) }
	spec := func(kind, spec string) string {
		return "apiVersion: davit.dev/v1alpha1\nkind: " + kind + "\nspec: " + spec + "\n"
	}
	training := func(more string) string {
		return spec("Training", "{environment: staging, image: "+trainer+", "+more+"}")
	}
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	// The shared files break less often than the rest, or there would be nothing else to see.
	all["davit.yaml"] = []string{string(sound["davit.yaml"].Data), string(sound["davit.yaml"].Data), spec("Registry", "{images: example.com/m, defaults: {replicas: 2}}"),
		spec("Registry", "{images: example.com/m, defaults: {replicas: 2, dependsOn: [iris]}}"), "a: ["}
	add("environments/staging/environment.yaml", spec("Environment", `{namespace: production, runtimes: {custom: "1.0"}}`),
		spec("Environment", "{capabilities: {features: [kueue]}}"))
	add("environments/canary/environment.yaml", "", "", spec("Environment", `{namespace: production, runtimes: {custom: "1.0"}}`), spec("Environment", `{runtimes: {custom: "2.0"}}`))
	add("environments/production/kustomization.yaml", "", component)
	add("environments/production/notes.txt", "", "x", "y")
	add("environments/notes.txt", "", "x")
	add("runtimes/custom/2.0/runtime.yaml", string(sound["runtimes/custom/1.0/runtime.yaml"].Data), "", "")
	add("runtimes/custom/2.0/kustomization.yaml", "", "resources: []\n")
	add("accelerators/tpu/accelerator.yaml", "", spec("Accelerator", "{resource: x/y}"))
	add("models/README.md", "", "x")
	for _, m := range []string{"models/iris", "models/rose", "teams/a/models/rose", "teams/b/models/tulip"} {
		add(m+"/model.yaml", "", spec("Model", "{}"), spec("Model", "{}"), spec("Model", "{tsk: x}"))
		add(m+"/README.md", "", "x", "y")
		for _, v := range []string{"v1", "v2"} {
			version := strings.ReplaceAll(string(sound["models/iris/versions/v1.yaml"].Data), "size: 244", "size: 1")
			add(m+"/versions/"+v+".yaml", "", version, version, version+"# x\n", "a: [")
		}
		for _, name := range []string{"tune", "scratch"} {
			add(m+"/training/"+name+".yaml", "", training("baseVersion: v1"), training("baseVersion: rose@v2"), training("accelerator: tpu"),
				training("accelerator: gpu, gpus: 1"), training("queue: a"), training("nodez: 2"))
			add(m+"/training/"+name+"/kustomization.yaml", "", "", component)
		}
		add(m+"/training", "", "", "", "", "", "", "", "a file")
		add(m+"/training/other.yml", "", "", "", "x")
		add(m+"/versions/v3.yml", "", "", "", "x")
		add(m+"/bad/v1.yaml", "", "", "apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: wrong}\n", "kind: BadVersion\n")
		add(m+"/versions", "", "", "", "", "a file")
	}
	for _, team := range []string{"a", "b", "UPPER"} {
		add("teams/"+team+"/team.yaml", "", spec("Team", "{owners: [x]}"), spec("Team", "{owners: [x]}"), spec("Team", "{}"))
		add("teams/"+team+"/README.md", "", "x")
	}
	serving := func(model, more string) string {
		return spec("Serving", "{model: "+model+", runtime: custom"+more+"}")
	}
	for _, r := range []string{"releases/iris", "releases/embed", "teams/a/releases/iris", "teams/b/releases/chat", "teams/b/releases/rank", "releases/BAD"} {
		add(r+"/serving.yaml", serving("iris", ""), serving("iris", ""), serving("rose", ""), serving("tulip", ", dependsOn: [iris]"),
			serving("iris", ", dependsOn: [embed, chat]"), serving("iris", ", dependsOn: [rank]"), serving("iris", ", runtime: custom@2.0"),
			serving("iris", ", accelerator: tpu"), serving("iris", ", gpus: 1"), serving("iris", ", dependsOn: [irs]"), "")
		for _, env := range []string{"staging", "production", "canary", "nowhere"} {
			add(r+"/"+env+".yaml", "", spec("Release", "{version: v1}"), spec("Release", "{version: v1}"), spec("Release", "{version: v2}"),
				spec("Release", "{version: v1, dependsOn: [rank, iris]}"), spec("Release", "{verison: v1}"))
		}
		add(r+"/kustomization.yaml", "", "", component)
		add(r+"/production/kustomization.yaml", "", "", component)
		add(r+"/production/patch.yaml", "", "x", "y")
		add(r+"/production.yml", "", "", "", "x")
		add(r+"/README.md", "", "", "x", "y")
	}
	return all
}

// healthy is a sound registry with two teams, a release that waits for another and a component.
func healthy(t testing.TB) fstest.MapFS {
	all, fsys := edits(t), base(t)
	for name, i := range map[string]int{
		"teams/a/team.yaml": 1, "teams/b/team.yaml": 1, "teams/a/models/rose/model.yaml": 1, "teams/b/models/tulip/model.yaml": 1,
		"teams/a/models/rose/versions/v1.yaml": 1, "teams/b/models/tulip/versions/v1.yaml": 1, "teams/b/models/tulip/versions/v2.yaml": 1,
		"teams/b/releases/chat/serving.yaml": 3, "teams/b/releases/chat/production.yaml": 1, "teams/b/releases/chat/staging.yaml": 3,
		"releases/embed/serving.yaml": 2, "releases/embed/production.yaml": 1, "releases/embed/staging.yaml": 1,
		"teams/b/releases/rank/serving.yaml": 0, "teams/b/releases/rank/production.yaml": 1, "teams/b/releases/rank/kustomization.yaml": 2,
		"models/iris/training/tune.yaml": 1, "models/iris/training/scratch.yaml": 4, "models/iris/training/tune/kustomization.yaml": 2,
		"teams/b/models/tulip/training/tune.yaml": 2, "teams/b/models/tulip/training/scratch.yaml": 1,
	} {
		lay(fsys, name, all[name][i])
	}
	return fsys
}

// lay sets a file as a tree would have it: no file is also a folder.
func lay(fsys fstest.MapFS, name, text string) {
	if text == "" {
		delete(fsys, name)
		return
	}
	maps.DeleteFunc(fsys, func(old string, _ *fstest.MapFile) bool {
		return strings.HasPrefix(old, name+"/") || strings.HasPrefix(name, old+"/")
	})
	fsys[name] = &fstest.MapFile{Data: []byte(text)}
}

func differing(a, b fstest.MapFS) (paths []string) {
	for name, f := range a {
		if g := b[name]; g == nil || string(g.Data) != string(f.Data) {
			paths = append(paths, name)
		}
	}
	for name := range b {
		if a[name] == nil {
			paths = append(paths, name)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// TestUpdateIsLoad walks random edits, breaks and mends. After each, the chained Update says what Load says,
// shares what it did not touch, and leaves the registry before as it was; LoadRelease says the same of each key.
func TestUpdateIsLoad(t *testing.T) {
	all := edits(t)
	names := slices.Sorted(maps.Keys(all))
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			fsys := healthy(t)
			reg, sameAs := load(t, fsys), load(t, fsys)
			sound, trainings := 0, 0
			for step := range 100 {
				next := maps.Clone(fsys)
				for range 1 + random.IntN(4) {
					name := names[random.IntN(len(names))]
					lay(next, name, all[name][random.IntN(len(all[name]))])
				}
				if random.IntN(8) == 0 {
					next = healthy(t)
				}
				changed := differing(fsys, next)
				got, err := reg.Update(next, changed)
				if err != nil {
					t.Fatal(step, err)
				}
				want := load(t, next)
				if d := difference(got, want); d != "" {
					t.Fatalf("step %d, changed %v: Update and Load differ in %s", step, changed, d)
				}
				checkShared(t, reg, got, changed)
				if d := difference(reg, sameAs); d != "" {
					t.Fatalf("step %d, changed %v: Update changed the registry before: %s", step, changed, d)
				}
				checkOne(t, next, want, random)
				if t.Failed() {
					t.FailNow()
				}
				reg, sameAs, fsys = got, want, next
				sound += len(reg.Releases)
				trainings += len(reg.Trainings)
			}
			if sound < 300 || trainings < 30 {
				t.Errorf("only %d sound releases and %d trainings seen: the edits break too much", sound, trainings)
			}
		})
	}
}

func load(t testing.TB, fsys fstest.MapFS) *registry.Registry {
	t.Helper()
	reg, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// difference names the first exported field in which two registries differ, or a release whose key does.
func difference(a, b *registry.Registry) string {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range x.NumField() {
		if f := x.Type().Field(i); f.IsExported() && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return fmt.Sprintf("%s:\n%v\n%v", f.Name, x.Field(i), y.Field(i))
		}
	}
	for i, r := range a.Releases {
		ka, errA := r.InputKey(a.FS())
		kb, errB := b.Releases[i].InputKey(b.FS())
		if ka != kb || errA != nil || errB != nil {
			return fmt.Sprintf("the input key of %s: %v %v", r.Key(), errA, errB)
		}
	}
	return ""
}

// checkShared wants what was not touched to be the same, and what may see a changed path touched.
func checkShared(t *testing.T, before, after *registry.Registry, changed []string) {
	t.Helper()
	touched := map[registry.Key]bool{}
	for _, key := range after.Touched() {
		touched[key] = true
	}
	if !slices.IsSortedFunc(after.Touched(), func(a, b registry.Key) int {
		return strings.Compare(a.Environment+"\x00"+a.Name, b.Environment+"\x00"+b.Name)
	}) {
		t.Errorf("touched is out of order: %v", after.Touched())
	}
	for _, reg := range []*registry.Registry{before, after} {
		for _, r := range reg.Releases {
			if key := r.Key(); !touched[key] && before.Release(key) != after.Release(key) {
				t.Errorf("changed %v: %s is not touched and another pointer", changed, key)
			}
			for _, p := range changed {
				if (r.Opens(p) || r.Owns(p)) && !touched[r.Key()] {
					t.Errorf("%s opens %s and is not touched", r.Key(), p)
				}
			}
		}
		for key := range reg.Broken {
			if !touched[key] && !reflect.DeepEqual(before.Broken[key], after.Broken[key]) {
				t.Errorf("changed %v: %s is not touched and otherwise broken", changed, key)
			}
		}
	}
}

// checkOne compares LoadRelease with Load for one key.
func checkOne(t *testing.T, fsys fstest.MapFS, want *registry.Registry, random *rand.Rand) {
	t.Helper()
	keys := []registry.Key{{Environment: "production", Name: "nothing"}}
	for _, r := range want.Releases {
		keys = append(keys, r.Key())
	}
	keys = append(keys, want.BrokenKeys()...)
	key := keys[random.IntN(len(keys))]
	got, err := registry.LoadRelease(fsys, key)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Release(key), want.Release(key)) {
		t.Errorf("LoadRelease and Load differ in %s:\n%+v\n%+v", key, got.Release(key), want.Release(key))
	}
	if !reflect.DeepEqual(got.Broken[key], want.Broken[key]) {
		t.Errorf("LoadRelease and Load differ in why %s is broken:\n%v\n%v", key, got.Broken[key], want.Broken[key])
	}
	if len(got.Releases)+len(got.Broken) > 1 {
		t.Errorf("LoadRelease holds more than %s", key)
	}
}

// TestUpdateAfterAWholeFolder: a path that stands for a folder says nothing of what is in it, also of what is gone.
func TestUpdateAfterAWholeFolder(t *testing.T) {
	before := healthy(t)
	after := maps.Clone(before)
	for name := range after {
		if strings.HasPrefix(name, "releases/iris/") || strings.HasPrefix(name, "accelerators/") {
			delete(after, name)
		}
	}
	updated, err := load(t, before).Update(after, []string{"bomb/"})
	if err != nil {
		t.Fatal(err)
	}
	if d := difference(updated, load(t, after)); d != "" {
		t.Errorf("Update and Load differ in %s", d)
	}
	for _, r := range load(t, before).Releases {
		for folder, owns := range map[string]bool{path.Dir(r.ModelVersion.Path) + "/": true, r.Dir + "/": true, path.Dir(r.Dir) + "/": true, "runtimes/": false} {
			if r.Owns(folder) != owns {
				t.Errorf("%s owns %s: %v", r.Key(), folder, !owns)
			}
		}
		if r.Name == "iris" && !slices.Contains(updated.Touched(), r.Key()) {
			t.Errorf("%s went, and is not touched", r.Key())
		}
	}
}
