package registry_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

const markOfV1 = `apiVersion: davit.dev/v1alpha1
kind: BadVersion
spec: {reason: calls roses tulips, by: ada}
`

// TestMarkedBad: marking a version changes no input key, and is a fault of those alone that promote it, also when the
// mark can't be read.
func TestMarkedBad(t *testing.T) {
	key := registry.Key{Environment: "production", Name: "iris"} // at v1
	load := func(mark string) (*registry.Release, string) {
		t.Helper()
		fsys := base(t)
		if mark != "" {
			fsys["models/iris/bad/v1.yaml"] = &fstest.MapFile{Data: []byte(mark)}
		}
		models, err := registry.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		one, err := registry.LoadRelease(fsys, key)
		if err != nil || (one.Release(key).ModelVersion.Bad == nil) != (mark == "") {
			t.Errorf("read alone: %v %v", one.Release(key).ModelVersion.Bad, err)
		}
		input, err := models.Release(key).InputKey(fsys)
		if err != nil {
			t.Fatal(err)
		}
		return models.Release(key), input
	}
	was, before := load("")
	is, after := load(markOfV1)
	if before != after {
		t.Error("marking a version changes the inputs of who has it")
	}
	other := *is
	other.ModelVersion = &registry.ModelVersion{Model: "iris", Name: "v2"}
	if was.MarkedBad(nil) != nil || is.MarkedBad(was) != nil || is.MarkedBad(is) != nil || other.MarkedBad(is) != nil {
		t.Error("a fault of one that promotes nothing bad")
	}
	for _, before := range []*registry.Release{nil, &other} {
		fault := is.MarkedBad(before)
		if fault == nil || fault.String() != `releases/iris/production.yaml:5: version "v1" of model "iris" is marked bad by ada: calls roses tulips (models/iris/bad/v1.yaml); choose another one, or remove that file` {
			t.Errorf("promoted: %v", fault)
		}
	}
	if faulty, _ := load("a: ["); faulty.MarkedBad(nil) == nil {
		t.Error("a mark that can't be read stops nothing")
	}
}

// TestWithVersion changes one word of a Release file, however it is written.
func TestWithVersion(t *testing.T) {
	key := registry.Key{Environment: "production", Name: "iris"}
	const head = "apiVersion: davit.dev/v1alpha1\nkind: Release\n"
	for name, c := range map[string]struct{ from, version, to string }{
		"plain":         {"spec:\n\n  version: v1   # of März\n  replicas: 2\n", "v2", "spec:\n\n  version: v2   # of März\n  replicas: 2\n"},
		"in one line":   {"spec: {args: {ä: v1}, version: v1, replicas: 2}", "v2", "spec: {args: {ä: v1}, version: v2, replicas: 2}"},
		"quoted":        {"spec:\n  version: \"1.0\"\n", "2.0", "spec:\n  version: \"2.0\"\n"},
		"single":        {"spec:\n  version: '1.0'\n", "v2", "spec:\n  version: 'v2'\n"},
		"not bare":      {"spec:\n  version: v1\n", "1.0", "spec:\n  version: \"1.0\"\n"},
		"CRLF":          {"spec:\r\n  version: v1\r\n", "v2", "spec:\r\n  version: v2\r\n"},
		"none":          {"spec: {replicas: 2}\n", "v2", "error spec.version is missing"},
		"over lines":    {"spec:\n  version: |\n    v1\n", "v2", "error can't be edited"},
		"not a name":    {"spec:\n  version: v1\n", "v2\n  replicas: 9", "error is not letters"},
		"not YAML":      {"spec: [", "v2", "error not YAML"},
		"another place": {"", "v2", "error production/iris has no file releases/iris/production.yaml"},
	} {
		fsys := fstest.MapFS{}
		if c.from != "" {
			fsys["teams/flowers/releases/iris/production.yaml"] = &fstest.MapFile{Data: []byte(head + c.from)}
		}
		file, text, err := registry.WithVersion(fsys, key, c.version)
		if want, fails := strings.CutPrefix(c.to, "error "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		} else if err != nil || file != "teams/flowers/releases/iris/production.yaml" || string(text) != head+c.to {
			t.Errorf("%s: %s %v\n%s", name, file, err, text)
		}
	}
	both := fstest.MapFS{}
	for _, file := range []string{"releases/iris/production.yaml", "teams/flowers/releases/iris/production.yaml"} {
		both[file] = &fstest.MapFile{Data: []byte(head + "spec: {version: v1}")}
	}
	if _, _, err := registry.WithVersion(both, key, "v2"); err == nil || !strings.Contains(err.Error(), "names are unique") {
		t.Errorf("two of them: %v", err)
	}
}
