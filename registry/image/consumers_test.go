package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// consumer runs a tool that others wrote.
func consumer(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	return consumerIn(t, ".", name, args...)
}

// consumerIn runs it in a folder.
func consumerIn(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.Command("go", "tool", "-modfile=../../.ci/tools/go.mod", "-n", name).Output() // builds it
	if err != nil {
		t.Fatalf("building %s: %v", name, err)
	}
	cmd := exec.Command(strings.TrimSpace(string(path)), args...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errs.Bytes())
	}
	return out
}

// untar lists an archive's files with their content.
func untar(t *testing.T, data []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
		}
	}
}

// TestConsumers pulls with crane and oras: the image as a file system, the model with its files, and both copied with
// what refers to them.
func TestConsumers(t *testing.T) {
	v, fsys := version("v1", "model.safetensors=weights", "sub/config.json={}")
	eachRegistry(t, func(t *testing.T, prefix string) {
		repository := prefix + "/iris"
		res := ensure(t, newBuilder(t, Config{}), fsys, repository, v)
		want := map[string]string{"models/model.safetensors": "weights", "models/sub/config.json": "{}"}
		same := func(what string, got map[string]string) {
			t.Helper()
			for name, content := range want {
				if got[name] != content || len(got) != len(want) {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}
		}
		same("crane export", untar(t, consumer(t, "crane", "export", repository+":v1", "-")))
		if got := strings.TrimSpace(string(consumer(t, "crane", "digest", repository+":v1"))); got != res.Digest {
			t.Errorf("crane digest %s, want %s", got, res.Digest)
		}
		consumer(t, "crane", "validate", "--fast", "--remote", res.Ref) // in full it takes every layer for gzip

		found := strings.Fields(string(consumer(t, "oras", "discover", "--plain-http", "--format", "go-template={{range .referrers}}{{.reference}} {{.artifactType}}{{end}}", res.Ref)))
		if len(found) != 2 || found[1] != "application/vnd.cncf.model.manifest.v1+json" {
			t.Fatalf("oras discover: %q", found)
		}
		dir := t.TempDir()
		consumer(t, "oras", "pull", "--plain-http", "-o", dir, found[0])
		pulled := map[string]string{}
		for _, name := range []string{"model.safetensors.tar", "sub/config.json.tar"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for name, content := range untar(t, data) {
				pulled[name] = content
			}
		}
		same("oras pull", pulled)

		consumer(t, "oras", "copy", "-r", "--from-plain-http", "--to-plain-http", res.Ref, prefix+"/copy:v1")
		copied := strings.Fields(string(consumer(t, "oras", "discover", "--plain-http", "--format", "go-template={{range .referrers}}{{.digest}}{{end}}", prefix+"/copy@"+res.Digest)))
		if len(copied) != 1 || !strings.HasSuffix(found[0], copied[0]) {
			t.Errorf("copied with %q, want the ModelPack manifest %s", copied, found[0])
		}
	})
}
