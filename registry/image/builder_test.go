package image

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

func TestAgain(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		sent := &requests{}
		b := newBuilder(t, Config{Transport: sent})
		a, fsysA := version("v1", "model=A", "vocab=shared")
		c, fsysC := version("v2", "model=B", "vocab=shared")
		if _, ok, err := b.Find(t.Context(), prefix+"/iris", a); ok || err != nil {
			t.Fatalf("found before it was built: %v, %v", ok, err)
		}
		first := ensure(t, b, fsysA, prefix+"/iris", a)
		if first.BytesRead != 7 {
			t.Errorf("first build read %d bytes, want 7", first.BytesRead)
		}
		delete(fsysC, "data/vocab") // the other version has that layer, so it must not be read
		if second := ensure(t, b, fsysC, prefix+"/iris", c); second.BytesRead != 1 || !second.Built {
			t.Errorf("second version: %+v, want 1 byte read", second)
		}
		sent.take()
		want := Result{Ref: first.Ref, Digest: first.Digest}
		if again := ensure(t, b, nil, prefix+"/iris", a); again != want {
			t.Errorf("back to v1: %+v, want %+v", again, want)
		}
		if l := sent.take(); len(l) != 0 {
			t.Errorf("requests %q, want none: it was seen before", l)
		}
		fresh := newBuilder(t, Config{Transport: sent})
		if again := ensure(t, fresh, nil, prefix+"/iris", a); again != want {
			t.Errorf("after a restart: %+v, want %+v", again, want)
		}
		l := sent.take()
		if l = slices.DeleteFunc(l, func(r string) bool { return r == "GET /v2/" }); len(l) != 3 || !strings.HasPrefix(l[0], "HEAD ") ||
			!strings.HasSuffix(l[1], "/manifests/"+want.Digest) || !strings.HasPrefix(l[2], "HEAD ") {
			t.Errorf("requests %q, want a HEAD for each tag and the manifest", l)
		}
		// Shared or not, a layer is the same: v2 elsewhere has the same digest.
		_, fsysC = version("v2", "model=B", "vocab=shared")
		found, _, err := b.Find(t.Context(), prefix+"/iris", c)
		if elsewhere := ensure(t, b, fsysC, prefix+"/other", c); err != nil || elsewhere.Digest != found.Digest {
			t.Errorf("v2 elsewhere %s, here %s, %v", elsewhere.Digest, found.Digest, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestWrongDigest: an image is what its OCI registry has, and not what a header says.
func TestWrongDigest(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		v, fsys := version("v1", "a=1")
		other, fsysOther := version("v2", "a=2")
		b := newBuilder(t, Config{})
		want := ensure(t, b, fsys, prefix+"/iris", v)
		foreign := ensure(t, b, fsysOther, prefix+"/iris", other)
		for name, digest := range map[string]string{"of nothing": "sha256:" + strings.Repeat("ab", 32), "of another image": foreign.Digest} {
			lying := true
			fresh := newBuilder(t, Config{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				answer, err := remote.DefaultTransport.RoundTrip(r)
				if err == nil && lying && r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/"+Tag(v)) {
					answer.Header.Set("Docker-Content-Digest", digest)
				}
				return answer, err
			})})
			got, err := fresh.Ensure(t.Context(), fsys, prefix+"/iris", v, nil)
			if _, content := errors.AsType[*ContentError](err); content || err == nil && got.Digest != want.Digest {
				t.Errorf("the digest %s: %s, %v", name, got.Ref, err)
			}
			lying = false
			if got := ensure(t, fresh, fsys, prefix+"/iris", v); got.Digest != want.Digest {
				t.Errorf("after the digest %s: %s, not %s", name, got.Digest, want.Digest)
			}
		}
	})
}

func TestExists(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		b := newBuilder(t, Config{})
		v, fsys := version("v1", "a=1")
		res := ensure(t, b, fsys, prefix+"/iris", v)
		if ok, err := b.Exists(t.Context(), res.Ref); !ok || err != nil {
			t.Errorf("%s: %v, %v", res.Ref, ok, err)
		}
		if ok, err := b.Exists(t.Context(), Placeholder(prefix+"/iris")); ok || err != nil {
			t.Errorf("placeholder: %v, %v", ok, err)
		}
	})
	b := newBuilder(t, Config{})
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := b.Exists(t.Context(), strings.TrimPrefix(s.URL, "http://")+"/a:b"); err == nil {
		t.Error("no error for an OCI registry that is down")
	}
}

func TestRegistryFailure(t *testing.T) {
	v, fsys := version("v1", "a=1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer s.Close()
	b := newBuilder(t, Config{})
	_, err := b.Ensure(t.Context(), fsys, strings.TrimPrefix(s.URL, "http://")+"/iris", v, nil)
	if err == nil {
		t.Fatal("no error")
	}
	if _, ok := errors.AsType[*ContentError](err); ok {
		t.Errorf("a refusal of the OCI registry is called the revision's fault: %v", err)
	}
}

func TestConcurrentEnsure(t *testing.T) {
	var calls atomic.Int64
	release := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		<-release
		io.WriteString(w, "1")
	}))
	defer web.Close()
	v, _ := version("v1")
	v.Spec.Files = []registry.File{file("m", web.URL, "1")}
	repository := memoryRegistry(t) + "/iris"
	b := newBuilder(t, Config{})

	leaving, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := b.Ensure(leaving, nil, repository, v, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("caller that left: %v", err)
		}
	})
	waitFor(t, func() bool { return calls.Load() == 1 })
	for range 8 {
		wg.Go(func() {
			if res, err := b.Ensure(t.Context(), nil, repository, v, nil); err != nil || !res.Built {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	waitFor(t, func() bool {
		b.flights.mu.Lock()
		defer b.flights.mu.Unlock()
		return b.flights.m[repository+":"+Tag(v)].callers == 9
	})
	leave() // the first caller's end is not the build's
	waitFor(t, func() bool {
		b.flights.mu.Lock()
		defer b.flights.mu.Unlock()
		return b.flights.m[repository+":"+Tag(v)].callers == 8
	})
	close(release)
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("source read %d times", calls.Load())
	}
}

func TestCancel(t *testing.T) {
	var calls, gone atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		<-r.Context().Done()
		gone.Add(1)
	}))
	defer web.Close()
	v, _ := version("v1")
	v.Spec.Files = []registry.File{file("m", web.URL, "1")}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitFor(t, func() bool { return calls.Load() == 1 })
		cancel()
	}()
	if _, err := newBuilder(t, Config{}).Ensure(ctx, nil, memoryRegistry(t)+"/iris", v, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	waitFor(t, func() bool { return gone.Load() == 1 })
}

// TestMemory streams 64 MiB into a registry that keeps nothing, since go-containerregistry's keeps uploads
// in this process's memory.
func TestMemory(t *testing.T) {
	const size = 64 << 20
	sum := sha256.New()
	if _, err := io.CopyN(sum, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		io.CopyN(w, zeros{}, size)
	}))
	defer web.Close()
	var peak atomic.Uint64
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b := newBuilder(t, Config{Progress: func(p Progress) {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		peak.Store(max(peak.Load(), now.HeapAlloc))
	}})
	oci := httptest.NewServer(&discard{})
	defer oci.Close()
	v, _ := version("v1")
	v.Spec.Files = []registry.File{{Path: "m", Source: web.URL, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}}
	res, err := b.Ensure(t.Context(), nil, strings.TrimPrefix(oci.URL, "http://")+"/iris", v, nil)
	if err != nil || res.BytesRead != size {
		t.Fatalf("%+v, %v", res, err)
	}
	if peak.Load() > before.HeapAlloc+32<<20 {
		t.Errorf("heap grew from %d to %d MiB", before.HeapAlloc>>20, peak.Load()>>20)
	}
	t.Logf("heap grew by at most %d KiB", (int64(peak.Load())-int64(before.HeapAlloc))>>10)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// discard takes uploads and keeps nothing but manifests.
type discard struct{ manifests sync.Map }

func (d *discard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	manifest := strings.Contains(r.URL.Path, "/manifests/")
	var body []byte
	n := int64(0)
	if manifest {
		body, _ = io.ReadAll(r.Body)
	} else {
		n, _ = io.Copy(io.Discard, r.Body)
	}
	switch {
	case r.URL.Path == "/v2/":
	case manifest && r.Method == http.MethodPut:
		d.manifests.Store(fmt.Sprintf("sha256:%x", sha256.Sum256(body)), body)
		w.Header().Set("OCI-Subject", "any") // it has the Referrers API, so it says
		w.WriteHeader(http.StatusCreated)
	case manifest && r.Method == http.MethodGet:
		if found, ok := d.manifests.Load(path.Base(r.URL.Path)); ok {
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
			w.Write(found.([]byte))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPost:
		w.Header().Set("Location", r.URL.Path+"1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPatch:
		w.Header().Set("Location", r.URL.Path)
		w.Header().Set("Range", fmt.Sprintf("0-%d", n-1))
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut:
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// TestKeychainOfTheUser pushes to an OCI registry that asks for a password, which is in the docker config.
func TestKeychainOfTheUser(t *testing.T) {
	inner := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	login := func(password string) {
		auth := base64.StdEncoding.EncodeToString([]byte("ada:" + password))
		config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, auth)
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, fsys := version("v1", "model.bin=weights")
	login("wrong")
	_, err := newBuilder(t, Config{}).Ensure(t.Context(), fsys, host+"/models/iris", v, nil)
	var content *ContentError
	if err == nil || errors.As(err, &content) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	login("right")
	if res := ensure(t, newBuilder(t, Config{}), fsys, host+"/models/iris", v); !res.Built {
		t.Errorf("result %+v", res)
	}
}

// TestHiddenPickle: content that carries code under a name that does not say so publishes nothing.
func TestHiddenPickle(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		v, fsys := version("v1", "config.json={}", "model.safetensors=\x80\x02}q\x00.")
		b := newBuilder(t, Config{})
		_, err := b.Ensure(t.Context(), fsys, prefix+"/iris", v, nil)
		if content, ok := errors.AsType[*ContentError](err); !ok || content.File != "model.safetensors" || !errors.Is(err, errPickle) {
			t.Errorf("error %v", err)
		}
		if _, ok, err := b.Find(t.Context(), prefix+"/iris", v); ok || err != nil {
			t.Errorf("published all the same: %t, %v", ok, err)
		}
		named, fsys := version("v2", "model.pkl=\x80\x02}q\x00.")
		ensure(t, b, fsys, prefix+"/iris", named)
	})
}
