package made_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// TestSources has the files fetched from the run's image, by the addresses that were written, into an image elsewhere: the
// same one.
func TestSources(t *testing.T) {
	server := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	content := "the weights"
	sum := sha256.Sum256([]byte(content))
	trained := registry.ModelVersionSpec{Files: []registry.File{{Path: "sub/model.bin", Source: "out/model.bin", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}}}

	builder, err := image.New(image.Config{})
	if err != nil {
		t.Fatal(err)
	}
	built, err := builder.Ensure(t.Context(), fstest.MapFS{"out/model.bin": {Data: []byte(content)}}, host+"/models/iris",
		&registry.ModelVersion{Model: "iris", Name: "run", Spec: trained}, nil)
	if err != nil {
		t.Fatal(err)
	}
	fsys := files(t)
	fsys["davit.yaml"].Data = []byte(strings.ReplaceAll(string(fsys["davit.yaml"].Data), "127.0.0.1:5000", host))
	m := result(t, load(t, fsys), "iris/tune")
	m.Result.Digest, m.Result.Version = built.Digest, trained
	name, text, err := m.File()
	if err != nil {
		t.Fatal(err)
	}
	fsys[name] = &fstest.MapFile{Data: text}
	v := load(t, fsys).Models["iris"].Versions["v3"]
	fetch := func(repository string, v *registry.ModelVersion) (image.Result, error) {
		again, err := image.New(image.Config{}) // which knows nothing of the first
		if err != nil {
			t.Fatal(err)
		}
		return again.Ensure(t.Context(), fsys, host+repository, v, nil)
	}
	if got, err := fetch("/elsewhere/iris", v); err != nil || got.Digest != built.Digest {
		t.Errorf("%s: %v, want %s", got.Digest, err, built.Digest)
	}
	v.Spec.Files[0].Source += "x"
	if _, err := fetch("/third/iris", v); err == nil || !strings.Contains(err.Error(), "model.binx") {
		t.Errorf("an address that the image does not have: %v", err)
	}
}
