package image

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/davit-dev/davit/registry"
)

// TestWithoutChunks has a real OCI registry behind a proxy that refuses PATCH, as some do, and breaks one upload off.
func TestWithoutChunks(t *testing.T) {
	for _, refusal := range []int{http.StatusMethodNotAllowed, http.StatusBadRequest} {
		target := &url.URL{Scheme: "http", Host: distribution}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the registry's answers name it
		}}
		var whole, broken atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPatch:
				w.WriteHeader(refusal)
				fmt.Fprint(w, `{"errors":[{"code":"UNSUPPORTED","message":"chunked uploads are not supported"}]}`)
				return
			case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") && r.ContentLength > 1000:
				whole.Add(1)
				if broken.CompareAndSwap(0, 1) {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		host := strings.TrimPrefix(s.URL, "http://")
		repository := fmt.Sprintf("%s/t%x/iris", host, rand.Uint64())
		v, fsys := version("v1", "model.safetensors="+strings.Repeat("weights", 100_000), "config.json={}")
		b := newBuilder(t, Config{})
		res := ensure(t, b, fsys, repository, v)
		plain := ensure(t, newBuilder(t, Config{}), fsys, strings.Replace(repository, host, distribution, 1)+"-plain", v)
		if res.Digest != plain.Digest || whole.Load() != 3 {
			t.Errorf("digest %s, with chunks %s; %d PUTs with content", res.Digest, plain.Digest, whole.Load())
		}
		if img := pull(t, res.Ref); img == nil {
			t.Error("not there")
		}
		// What is wrong with the content publishes nothing here either.
		bad, fsys := version("v2", "model.safetensors="+strings.Repeat("other", 1000))
		bad.Spec.Files[0].SHA256 = strings.Repeat("0", 64)
		if _, err := b.Ensure(t.Context(), fsys, repository, bad, nil); err == nil || !strings.Contains(err.Error(), "sha256 is") {
			t.Errorf("error %v", err)
		}
		if _, ok, err := b.Find(t.Context(), repository, bad); ok || err != nil {
			t.Errorf("published: %v, %v", ok, err)
		}
	}
}

// TestLayerLimits: what a hosted OCI registry would refuse at the end is refused before anything is read.
func TestLayerLimits(t *testing.T) {
	v := &registry.ModelVersion{Model: "iris", Name: "v1", Path: "models/iris/versions/v1.yaml"}
	big := file("big.safetensors", "big", "")
	big.Size = 11e9
	v.Spec.Files = []registry.File{big, file("config.json", "config", "{}")}
	var layers []*layer
	for _, f := range v.Spec.Files {
		l, err := newLayer(f)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	for repository, refused := range map[string]bool{
		"ghcr.io/org/iris": true, "public.ecr.aws/org/iris": true, "1.dkr.ecr.eu-west-1.amazonaws.com/iris": false, "example.com/iris": false,
	} {
		repo, err := name.NewRepository(repository)
		if err != nil {
			t.Fatal(err)
		}
		err = fits(repo, v, layers)
		if refused != (err != nil) || refused && (!strings.Contains(err.Error(), `file "big.safetensors"`) || !strings.Contains(err.Error(), "split the weights")) {
			t.Errorf("%s: %v", repository, err)
		}
	}
}
