package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/davit-dev/davit/registry"
)

// pushTar pushes an image of one layer with the files, compressed as kind says.
func pushTar(t *testing.T, ref string, kind types.MediaType, files ...string) v1.Hash {
	t.Helper()
	var buf bytes.Buffer
	var to io.Writer = &buf
	end := func() error { return nil }
	switch {
	case strings.HasSuffix(string(kind), "gzip"):
		z := gzip.NewWriter(&buf)
		to, end = z, z.Close
	case strings.HasSuffix(string(kind), "zstd"):
		z, err := zstd.NewWriter(&buf)
		if err != nil {
			t.Fatal(err)
		}
		to, end = z, z.Close
	}
	w := tar.NewWriter(to)
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return pushLayer(t, ref, kind, buf.Bytes())
}

// pushLayer pushes an image of one layer.
func pushLayer(t *testing.T, ref string, kind types.MediaType, layer []byte) v1.Hash {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(layer, kind))
	if err != nil {
		t.Fatal(err)
	}
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestOCISources takes models out of images and artifacts of every form: layers of each compression, the files oras
// pushes, and davit's own.
func TestOCISources(t *testing.T) {
	weights := safetensors(`{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, "abcd")
	prefix := fmt.Sprintf("%s/t%x", distribution, rand.Uint64())
	dir := t.TempDir()
	for name, content := range map[string]string{"model.safetensors": weights, "config.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	oras := prefix + "/others/oras:v1"
	consumerIn(t, dir, "oras", "push", "--plain-http", oras, "model.safetensors", "config.json")
	own, fsys := version("v1", "model.safetensors="+weights, "config.json={}")
	davits := ensure(t, newBuilder(t, Config{}), fsys, prefix+"/others/davit", own)
	sources := map[string]string{"oras": oras, "davit": davits.Ref}
	for name, kind := range map[string]types.MediaType{
		"plain": types.OCIUncompressedLayer, "gzip": types.DockerLayer, "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
	} {
		ref := prefix + "/others/" + name
		sources[name] = ref + "@" + pushTar(t, ref+":v1", kind, "bin/server=ELF", "models/model.safetensors="+weights, "models/config.json={}").String()
	}
	for name, ref := range sources {
		t.Run(name, func(t *testing.T) {
			sent := &requests{}
			b := newBuilder(t, Config{Transport: sent})
			found, err := b.Discover(t.Context(), "oci://"+ref, func(string) bool { return true })
			if err != nil || len(found) != 2 {
				t.Fatalf("%+v, %v", found, err)
			}
			v := &registry.ModelVersion{Model: "iris", Name: name, Path: "models/iris/versions/v1.yaml"}
			for _, f := range found {
				if want := file(f.Path, f.Source, map[string]string{"model.safetensors": weights, "config.json": "{}"}[f.Path]); f.File != want {
					t.Errorf("found %+v, want %+v", f.File, want)
				}
				if f.Path == "model.safetensors" && (f.Knowledge.Parameters != 2 || f.Knowledge.Precision != "bf16") {
					t.Errorf("known of it: %+v", f.Knowledge)
				}
				v.Spec.Files = append(v.Spec.Files, f.File)
			}
			res, err := b.Ensure(t.Context(), nil, prefix+"/mine/iris-"+name, v, nil)
			if err != nil || res.Digest != davits.Digest && v.Spec.Format == own.Spec.Format {
				t.Fatalf("%+v, %v; want the digest %s", res, err, davits.Digest)
			}
			// What the source says of itself is not believed.
			lie := *v
			lie.Spec.Files = []registry.File{v.Spec.Files[0]}
			lie.Spec.Files[0].SHA256 = strings.Repeat("0", 64)
			if _, err := b.Ensure(t.Context(), nil, prefix+"/mine/iris-"+name, &lie, nil); err == nil || !strings.Contains(err.Error(), "sha256 is") {
				t.Errorf("error %v", err)
			}
			lie.Spec.Files[0] = file("none.bin", "oci://"+davits.Ref+"/none.bin", "x")
			if _, err := b.Ensure(t.Context(), nil, prefix+"/mine/iris-"+name, &lie, nil); err == nil || !strings.Contains(err.Error(), "there is no such file in the image") {
				t.Errorf("error %v", err)
			}
		})
	}
	for source, want := range map[string]string{
		"oci://" + prefix + "/others/davit@sha256:" + strings.Repeat("0", 64) + "/model.safetensors": "does not exist",
		"oci://" + prefix + "/others/davit:v1/model.safetensors":                                     "is not of the form oci://host/repository@sha256:",
		"oci://" + davits.Ref:                "names no file in it",
		"oci://" + davits.Ref + "/../secret": "is not of the form",
	} {
		v := &registry.ModelVersion{Model: "iris", Name: "v1", Path: "models/iris/versions/v1.yaml"}
		v.Spec.Files = []registry.File{file("a", source, "a")}
		_, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, prefix+"/mine/bad", v, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}

// TestOverlay: the files of an image are those of its last layers, less what they delete.
func TestOverlay(t *testing.T) {
	ref := fmt.Sprintf("%s/t%x/server", distribution, rand.Uint64())
	lower := pushTar(t, ref+":lower", types.OCIUncompressedLayer, "config.json=root!", "models/config.json=old", "models/gone.bin=x", "models/dir/a=1", "usr/lib/cache=\x80\x04\x95")
	base, err := name.ParseReference(ref + "@" + lower.String())
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(base)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []string{"models/config.json=new!", "models/.wh.gone.bin=", "models/dir/.wh..wh..opq=", "models/dir/b=2"} {
		at, content, _ := strings.Cut(f, "=")
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, static.NewLayer(buf.Bytes(), types.OCIUncompressedLayer)); err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t, Config{})
	found, err := b.Discover(t.Context(), "oci://"+ref+":v1", func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	v := &registry.ModelVersion{Model: "iris", Name: "v1", Path: "models/iris/versions/v1.yaml"}
	var got []string
	for _, f := range found {
		got = append(got, f.Path+" "+f.SHA256[:8])
		v.Spec.Files = append(v.Spec.Files, f.File)
	}
	if want := []string{"config.json " + file("", "", "new!").SHA256[:8], "dir/b " + file("", "", "2").SHA256[:8]}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if _, err := b.Ensure(t.Context(), nil, ref+"-model", v, nil); err != nil {
		t.Error(err)
	}
}

// sparse are layers with models/w.bin, a TiB of zeros, as GNU tar -S writes it.
func sparse(t testing.TB) (layers map[string][]byte) {
	t.Helper()
	layers = map[string][]byte{}
	for _, format := range []string{"gnu", "posix"} {
		text, err := os.ReadFile("testdata/sparse-" + format + ".tar.gz")
		if err != nil {
			t.Fatal(err)
		}
		layers[format] = text
	}
	return layers
}

// TestSparse: a few bytes that stand for a TiB are not read, neither to find nor to build.
func TestSparse(t *testing.T) {
	for format, layer := range sparse(t) {
		ref := fmt.Sprintf("%s/t%x/sparse", distribution, rand.Uint64())
		digest := pushLayer(t, ref+":v1", types.DockerLayer, layer)
		b := newBuilder(t, Config{})
		if _, err := b.Discover(t.Context(), "oci://"+ref+":v1", func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "models/w.bin is a sparse file") {
			t.Errorf("%s: found with %v", format, err)
		}
		v := &registry.ModelVersion{Model: "iris", Name: "v1", Path: "models/iris/versions/v1.yaml"}
		v.Spec.Files = []registry.File{file("w.bin", "oci://"+ref+"@"+digest.String()+"/models/w.bin", "x")}
		if _, err := b.Ensure(t.Context(), nil, ref+"-model", v, nil); err == nil || !strings.Contains(err.Error(), "models/w.bin is a sparse file") {
			t.Errorf("%s: built with %v", format, err)
		}
	}
}

// TestOCICredentials: a registry that wants a password gets the granted one.
func TestOCICredentials(t *testing.T) {
	inner := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != "pl4nted-source" {
			w.Header().Set("WWW-Authenticate", `Basic realm="models"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	own, fsys := version("v1", "model.safetensors=weights")
	keychain := authn.NewKeychainFromHelper(helper{})
	built := ensure(t, newBuilder(t, Config{Keychain: keychain}), fsys, host+"/iris", own)
	v := *own
	v.Spec.Files = []registry.File{own.Spec.Files[0]}
	v.Spec.Files[0].Source = "oci://" + built.Ref + "/model.safetensors"
	repository := memoryRegistry(t) + "/iris"
	if _, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, repository, &v, nil); err == nil || !strings.Contains(err.Error(), "401") && !strings.Contains(err.Error(), "UNAUTHORIZED") {
		t.Errorf("without credentials: %v", err)
	}
	res, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, repository, &v, secretOf("oci://"+host+"/iris", Secret{"username": "ada", "password": "pl4nted-source"}))
	if err != nil || res.Digest != built.Digest {
		t.Errorf("%+v, %v", res, err)
	}
}

// helper is a credential helper with one password.
type helper struct{}

func (helper) Get(string) (user, password string, err error) { return "ada", "pl4nted-source", nil }

// TestMount: what lies beside in davit's own images is neither read nor uploaded again.
func TestMount(t *testing.T) {
	prefix := fmt.Sprintf("%s/t%x/models", distribution, rand.Uint64())
	v, fsys := version("v1", "model.safetensors="+strings.Repeat("weights", 10_000))
	first := ensure(t, newBuilder(t, Config{}), fsys, prefix+"/iris", v)

	patches := func(sent *requests) (n int) {
		for _, r := range sent.take() {
			if strings.HasPrefix(r, "PATCH ") {
				n++
			}
		}
		return n
	}
	t.Run("the same builder", func(t *testing.T) {
		sent := &requests{}
		b := newBuilder(t, Config{Transport: sent})
		other, more := version("v2", "model.safetensors="+strings.Repeat("weights", 10_000), "more.txt=more")
		ensure(t, b, more, prefix+"/iris", other)
		sent.take()
		res := ensure(t, b, fsys, prefix+"/setosa", v)
		if res.Digest != first.Digest || res.BytesRead != 0 || patches(sent) != 2 { // the two configs
			t.Errorf("%+v", res)
		}
		pull(t, res.Ref)
	})
	t.Run("a signed image as the source", func(t *testing.T) {
		key, _ := ecdsaKey(t)
		signed := ensure(t, newBuilder(t, Config{Key: key}), fsys, prefix+"/signed", v)
		from := *v
		from.Spec.Files = []registry.File{v.Spec.Files[0]}
		from.Spec.Files[0].Source = "oci://" + signed.Ref + "/model.safetensors"
		res, err := newBuilder(t, Config{Key: key}).Ensure(t.Context(), nil, prefix+"/virginica", &from, nil)
		if err != nil || res.Digest != first.Digest || res.BytesRead != 0 {
			t.Errorf("%+v, %v", res, err)
		}
		pull(t, res.Ref)
		if res, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, prefix+"/versicolor", &from, nil); err != nil || res.BytesRead != v.Spec.Files[0].Size {
			t.Errorf("without a key nothing is believed: %+v, %v", res, err)
		}
	})
	t.Run("an image that lies", func(t *testing.T) {
		evil := file("w.bin", "", "GOOD")
		img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
			Layer: static.NewLayer(bytes.Repeat([]byte("EVIL"), 512), types.OCIUncompressedLayer), Annotations: map[string]string{keyAnnotation: layerKey(evil)},
		})
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(prefix + "/evil:v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		evil.Source = "oci://" + prefix + "/evil@" + digest.String() + "/w.bin"
		v := &registry.ModelVersion{Model: "iris", Name: "v7", Path: "models/iris/versions/v7.yaml"}
		v.Spec.Files = []registry.File{evil}
		key, _ := ecdsaKey(t)
		for _, cfg := range []Config{{}, {Key: key}} {
			if res, err := newBuilder(t, cfg).Ensure(t.Context(), nil, prefix+"/believer", v, nil); err == nil {
				t.Errorf("published: %+v", res)
			}
		}
	})
	t.Run("somebody else's", func(t *testing.T) {
		from := *v
		from.Spec.Files = []registry.File{v.Spec.Files[0]}
		from.Spec.Files[0].Source = "oci://" + first.Ref + "/model.safetensors"
		res, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, strings.TrimSuffix(prefix, "models")+"apart/iris", &from, nil)
		if err != nil || res.Digest != first.Digest || res.BytesRead != v.Spec.Files[0].Size {
			t.Errorf("read and checked: %+v, %v", res, err)
		}
	})
}
