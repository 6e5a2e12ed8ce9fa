package registry_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

// TestWithAttempt raises one number, however the file is written.
func TestWithAttempt(t *testing.T) {
	const head = "apiVersion: davit.dev/v1alpha1\nkind: Training\n"
	for name, c := range map[string]struct{ from, to string }{
		"first":        {"spec:\n\n  # why\n  environment: lab # ä\n  seed: 1\n", "spec:\n\n  # why\n  attempt: 1\n  environment: lab # ä\n  seed: 1\n"},
		"next":         {"spec:\n  seed: 1\n  attempt: 9 # of März\n", "spec:\n  seed: 1\n  attempt: 10 # of März\n"},
		"in one line":  {"spec: {environment: lab, seed: 1}", "spec: {attempt: 1, environment: lab, seed: 1}"},
		"CRLF":         {"spec:\r\n  seed: 1\r\n", "spec:\r\n  attempt: 1\r\n  seed: 1\r\n"},
		"another kind": {"spec: {attempt: [1]}", "error can't be edited"},
		"a word":       {"spec: {attempt: two}", "error :3: the attempt is written"},
		"not YAML":     {"spec: [", "error not YAML"},
		"nowhere":      {"", "error iris/tune has no file models/iris/training/tune.yaml"},
	} {
		fsys := fstest.MapFS{}
		if c.from != "" {
			fsys["teams/flowers/models/iris/training/tune.yaml"] = &fstest.MapFile{Data: []byte(head + c.from)}
		}
		file, text, err := registry.WithAttempt(fsys, "iris/tune")
		if want, fails := strings.CutPrefix(c.to, "error "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		} else if err != nil || file != "teams/flowers/models/iris/training/tune.yaml" || string(text) != head+c.to {
			t.Errorf("%s: %s %v\n%s", name, file, err, text)
		}
	}
	if _, _, err := registry.WithAttempt(fstest.MapFS{}, "iris/../x"); err == nil || !strings.Contains(err.Error(), "not MODEL/NAME") {
		t.Errorf("a path: %v", err)
	}
}
