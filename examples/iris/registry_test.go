// Package iris checks that the example registry agrees with itself. The
// programs are in train and serve, the registry in registry.
package iris

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("registry", path))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// field returns the value of a plain YAML field that occurs once.
func field(t *testing.T, path, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^[ -]*`+name+`: (\S+)`).FindAllSubmatch(read(t, path), -1)
	if len(found) != 1 {
		t.Fatalf("%s: field %s occurs %d times", path, name, len(found))
	}
	return string(found[0][1])
}

func TestVersionsNameTheirFiles(t *testing.T) {
	for _, version := range []string{"v1", "v2", "v3"} {
		path := "models/iris/versions/" + version + ".yaml"
		source := field(t, path, "source")
		if want := "models/iris/files/" + version + "/model.safetensors"; source != want {
			t.Errorf("%s: source %s, want %s", path, source, want)
		}
		content := read(t, source)
		sum := sha256.Sum256(content)
		if got, want := field(t, path, "sha256"), hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: sha256 %s, the file has %s", path, got, want)
		}
		if got, want := field(t, path, "size"), fmt.Sprint(len(content)); got != want {
			t.Errorf("%s: size %s, the file has %s", path, got, want)
		}
	}
}

// TestDamageIsInTheHeader: v3 is v2 but for a few bytes that describe the
// weights, so that it looks like a model everywhere but in the server.
func TestDamageIsInTheHeader(t *testing.T) {
	good, bad := read(t, "models/iris/files/v2/model.safetensors"), read(t, "models/iris/files/v3/model.safetensors")
	const data = 23 * 4 // weight, bias, mean and scale
	if len(good) != len(bad) || !bytes.Equal(good[len(good)-data:], bad[len(bad)-data:]) {
		t.Error("v3 differs from v2 outside the header")
	}
	if !bytes.Contains(bad, []byte(`"data_offsets":[44,9999]`)) {
		t.Error("v3 is not damaged as its description says")
	}
}

func TestRuntimeImagesAgree(t *testing.T) {
	const base = "runtimes/iris-server/0.1.0/"
	if runtime, deployment := field(t, base+"runtime.yaml", "image"), field(t, base+"deployment.yaml", "image"); runtime != deployment {
		t.Errorf("runtime.yaml has image %s, deployment.yaml %s", runtime, deployment)
	}
}

// TestPromotionIsOneLine: the two releases differ in nothing, and the line
// that a promotion changes stands alone.
func TestPromotionIsOneLine(t *testing.T) {
	staging, production := read(t, "releases/iris/staging.yaml"), read(t, "releases/iris/production.yaml")
	if !bytes.Equal(staging, production) {
		t.Error("staging and production differ")
	}
	if !bytes.Contains(staging, []byte("spec:\n\n  version: v1\n")) {
		t.Errorf("no line of its own for the version:\n%s", staging)
	}
}
