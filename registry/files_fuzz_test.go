package registry_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

// FuzzFiles does what FuzzLoad does in the files that are not there in each registry: whatever one of them says, an update
// comes to what loading anew does, one release is what it is among all, and each fault has a place and is one line.
func FuzzFiles(f *testing.F) {
	names := []string{
		"models/iris/model.yaml", "accelerators/gpu/accelerator.yaml", "models/iris/bad/v1.yaml", "models/iris/training/tune.lock.yaml",
		"models/iris/versions/v2.yaml", "teams/a/team.yaml", "releases/iris/kustomization.yaml", "environments/production/kustomization.yaml",
		"models/iris/README.md", "models/iris/evidence/v1/bias.yaml",
	}
	whole := trained(f, nil)
	for i, name := range names {
		if file := whole[name]; file != nil {
			f.Add(i, file.Data)
		}
		f.Add(i, []byte("apiVersion: davit.dev/v1alpha1\nkind: Model\nspec: {owners: [ada@example.com], gates: {production: {approvals: [a]}}}\n"))
	}
	f.Add(2, []byte("apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: \"a\\nb\", by: ada, at: 2026-01-02T03:04:05Z}\n"))
	f.Add(3, []byte("apiVersion: davit.dev/v1alpha1\nkind: TrainingLock\nspec: {tick: 2026-01-02T03:04:05Z, datasets: [{name: a, from: b, uri: c}]}\n"))
	f.Add(8, []byte("---\nlicense: apache-2.0\n---\n# iris"))
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		name := names[uint(i)%uint(len(names))]
		before := trained(t, nil)
		reg := load(t, before)
		fsys := maps.Clone(before)
		fsys[name] = &fstest.MapFile{Data: data}
		updated, err := reg.Update(fsys, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		all := load(t, fsys)
		if d := difference(updated, all); d != "" {
			t.Fatalf("%s: Update and Load differ in %s", name, d)
		}
		for _, fault := range all.Faults {
			if fault.Path == "" || fault.Line < 1 || strings.ContainsFunc(fault.String(), unicode.IsControl) {
				t.Errorf("fault %q", fault)
			}
		}
		key := registry.Key{Environment: "production", Name: "iris"}
		one, err := registry.LoadRelease(fsys, key)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := one.Release(key), all.Release(key); (a == nil) != (b == nil) || a == nil && !reflect.DeepEqual(one.Broken[key], all.Broken[key]) {
			t.Errorf("%s: alone %v %v, among all %v %v", name, a, one.Broken[key], b, all.Broken[key])
		}
	})
}

// FuzzWithVersion: a file whose version is written anew says that version, and all else that it said.
func FuzzWithVersion(f *testing.F) {
	const name = "releases/iris/production.yaml"
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n  version: v1 # the good one\n"), "v2")
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\r\nkind: Release\r\nspec: {\"version\": 'v1', é: \"ü\"}\r\n"), "20261124")
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\rkind: Release\rspec:\r  version: v1\r"), "null")
	f.Add([]byte("\ufeffspec: {version: \"v\\x31\"}\napiVersion: davit.dev/v1alpha1\nkind: Release\n"), "1.0")
	f.Add([]byte("spec:\n  version: >\n    v1\n  resources: {cpu: 1}\napiVersion: davit.dev/v1alpha1\u2028kind: Release\n"), "v2")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		_, text, err := registry.WithVersion(fstest.MapFS{name: &fstest.MapFile{Data: data}}, registry.Key{Environment: "production", Name: "iris"}, version)
		if err != nil {
			return
		}
		was, is := said(t, data), said(t, text)
		if got := is["spec"].(map[string]any)["version"]; got != version {
			t.Fatalf("%q with version %q is %q, which says %v", data, version, text, got)
		}
		was["spec"].(map[string]any)["version"] = version
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%q with version %q is %q", data, version, text)
		}
	})
}

func said(t *testing.T, text []byte) (out map[string]any) {
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return out
}

// FuzzSource plants a credential in the address of a file's source: it does not get into Git.
func FuzzSource(f *testing.F) {
	f.Add("https", "ada:", "", "/m.bin")
	f.Add("hf", "hf_", "", "/repo@main/m.bin")
	f.Add("http", "", ":x%zz", "")
	f.Add("oci", "a;", ";b", "/a")
	f.Fuzz(func(t *testing.T, scheme, before, after, path string) {
		ends := func(s string) bool {
			return strings.ContainsAny(s, "/?#@& ") || strings.ContainsFunc(s, unicode.IsControl)
		}
		if scheme = strings.ToLower(scheme); scheme != "https" && scheme != "http" && scheme != "oci" || ends(before) || ends(after) || strings.ContainsAny(path, "?#") {
			return
		}
		const secret = "pl4nted-s3cret"
		for _, source := range []string{
			scheme + "://" + before + secret + after + "@example.com" + path,
			scheme + "://example.com" + path + "?a=b&X-Amz-Signature=" + before + secret + after,
			scheme + "://example.com" + path + "?x-amz-%53ignature=" + before + secret + after + "&c",
		} {
			err := registry.CheckFile(registry.File{Path: "m.bin", Source: source, SHA256: strings.Repeat("0", 64)})
			if err == nil {
				t.Errorf("%q gets into Git", source)
			} else if strings.Contains(err.Error(), secret) {
				t.Error(err)
			}
		}
	})
}

// FuzzLock: a lock that was read locks what it says, at a time.
func FuzzLock(f *testing.F) {
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: TrainingLock\nspec:\n  tick: 2026-01-02T03:04:05+01:00\n  datasets:\n  - {name: a, from: 'hf://datasets/a/b', uri: 'hf://datasets/a/b@0', sha256: " + strings.Repeat("0a", 32) + "}\n"))
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: TrainingLock\nspec: {tick: null}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lock, faults := registry.ParseLock("models/iris/training/tune.lock.yaml", text)
		if (lock == nil) != (len(faults) > 0) {
			t.Fatalf("%+v and %v", lock, faults)
		}
		if lock == nil {
			return
		}
		if lock.Tick.IsZero() {
			t.Error("it has no time")
		}
		for _, d := range lock.Datasets {
			if d.Name == "" || d.URI == "" || d.From == "" {
				t.Errorf("%+v", d)
			}
		}
		if _, offset := lock.Tick.Zone(); offset != 0 {
			t.Errorf("at %s", lock.Tick)
		}
	})
}
