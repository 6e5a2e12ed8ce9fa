package registry_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

func TestFleetSizes(t *testing.T) {
	waves := registry.FleetPolicy{Waves: []registry.Wave{{Count: 1}, {Percent: 10}, {Percent: 100}}}
	for _, c := range []struct {
		fleet registry.FleetPolicy
		n     int
		want  []int
	}{
		{waves, 0, nil}, {waves, 1, []int{1}}, {waves, 5, []int{1, 5}}, {waves, 25, []int{1, 3, 25}}, {waves, 1000, []int{1, 100, 1000}},
		{registry.FleetPolicy{}, 7, []int{7}},
		{registry.FleetPolicy{Waves: []registry.Wave{{Count: 50}, {Percent: 1}}}, 10, []int{10}},
	} {
		if got := c.fleet.Sizes(c.n); !slices.Equal(got, c.want) {
			t.Errorf("%v of %d: %v, want %v", c.fleet.Waves, c.n, got, c.want)
		}
	}
}

func TestFleetIsRead(t *testing.T) {
	fsys := base(t)
	fsys["environments/production/environment.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {runtimes: {custom: \"1.0\"}, fleet: {waves: [1, 10%]}}\n")}
	reg := load(t, fsys)
	got := reg.Environments["production"].Spec.Fleet.Waves
	if want := []registry.Wave{{Count: 1}, {Percent: 10}, {Percent: 100}}; !slices.Equal(got, want) {
		t.Errorf("waves %v, want %v: the last is added", got, want)
	}
}

// TestReadsWhatItNeeds counts the files and folders read of 1,000 releases.
func TestReadsWhatItNeeds(t *testing.T) {
	for _, teams := range []int{0, 10} {
		files := large(t, 1000, teams)
		fsys := newBlobs(files)
		reg, err := registry.Load(fsys)
		if err != nil || len(reg.Releases) != 1000 {
			t.Fatal(err)
		}
		key := registry.Key{Environment: "production", Name: "model-00042"}
		fsys.reads.Store(0)
		if one, err := registry.LoadRelease(fsys, key); err != nil || one.Release(key) == nil {
			t.Fatal(err)
		}
		if n := fsys.reads.Load(); n > 50 {
			t.Errorf("LoadRelease read %d files and folders", n)
		}
		fsys.reads.Store(0)
		next, err := reg.Update(fsys, []string{reg.Release(key).Path})
		if err != nil {
			t.Fatal(err)
		}
		if n := fsys.reads.Load(); n > 5 || !slices.Equal(next.Touched(), []registry.Key{key}) {
			t.Errorf("Update read %d files and folders and touched %v", n, next.Touched())
		}
		// What nobody parses touches nothing.
		next, err = reg.Update(fsys, []string{"README.md", reg.Release(key).Model.Path[:len(reg.Release(key).Model.Path)-len("model.yaml")] + "README.md",
			reg.Release(key).Dir + "/README.md", "environments/production/notes.md"})
		if err != nil || len(next.Touched()) != 0 || &next.Releases[0] != &reg.Releases[0] {
			t.Errorf("READMEs touch %v (%v)", next.Touched(), err)
		}
	}
}

// TestUpdateFails leaves the registry before good.
func TestUpdateFails(t *testing.T) {
	fsys := base(t)
	reg := load(t, fsys)
	delete(fsys, "davit.yaml")
	if _, err := reg.Update(fsys, []string{"davit.yaml"}); !errors.Is(err, registry.ErrNoRegistry) {
		t.Errorf("without davit.yaml: %v", err)
	}
	if _, err := registry.LoadRelease(fsys, registry.Key{}); !errors.Is(err, registry.ErrNoRegistry) {
		t.Errorf("LoadRelease without davit.yaml: %v", err)
	}
	broken := failing{base(t), "releases/iris/production.yaml"}
	if _, err := reg.Update(broken, []string{broken.name}); !errors.Is(err, errDisk) {
		t.Errorf("a file that can't be read: %v", err)
	}
	if _, err := registry.Load(broken); !errors.Is(err, errDisk) {
		t.Errorf("a file that can't be read: %v", err)
	}
	if d := difference(reg, load(t, base(t))); d != "" {
		t.Error(d)
	}
}

var errDisk = errors.New("disk on fire")

// failing can't read one file.
type failing struct {
	fstest.MapFS
	name string
}

func (f failing) ReadFile(name string) ([]byte, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errDisk}
	}
	return f.MapFS.ReadFile(name)
}

func (f failing) Stat(name string) (fs.FileInfo, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: errDisk}
	}
	return f.MapFS.Stat(name)
}

// TestFileInPlaceOfAFolder is no error on disk, where the system says "not a directory".
func TestFileInPlaceOfAFolder(t *testing.T) {
	fsys := base(t)
	for _, name := range []string{"teams/a/models", "teams/a/releases", "teams/b", "runtimes/file", "models/x"} {
		lay(fsys, name, "x")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, fsys); err != nil {
		t.Fatal(err)
	}
	key := registry.Key{Environment: "production", Name: "iris"}
	for _, read := range []func() (*registry.Registry, error){
		func() (*registry.Registry, error) { return registry.Load(os.DirFS(dir)) },
		func() (*registry.Registry, error) { return registry.LoadRelease(os.DirFS(dir), key) },
	} {
		if reg, err := read(); err != nil || reg.Release(key) == nil {
			t.Error(err)
		}
	}
}

// TestCycleOfMany ends in time and writes no novel.
func TestCycleOfMany(t *testing.T) {
	fsys := base(t)
	name := func(i int) string { return "r" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }
	for i := range 300 {
		fsys["releases/"+name(i)+"/serving.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: Serving\nspec: {model: iris, runtime: custom, dependsOn: [" + name((i+1)%300) + "]}\n")}
		fsys["releases/"+name(i)+"/production.yaml"] = fsys["releases/iris/production.yaml"]
	}
	reg := load(t, fsys)
	if len(reg.Broken) != 300 || len(reg.Releases) != 2 {
		t.Fatalf("%d broken, %d sound", len(reg.Broken), len(reg.Releases))
	}
	got := reg.Broken[registry.Key{Environment: "production", Name: "raa"}][0].String()
	if want := "releases/raa/serving.yaml:3: dependsOn goes round among 300 releases; raa → rab is part of it"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
