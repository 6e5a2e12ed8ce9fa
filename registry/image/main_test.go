package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
)

// distribution is the address of an OCI registry of the distribution project, or the one DAVIT_TEST_REGISTRY names.
var distribution = os.Getenv("DAVIT_TEST_REGISTRY")

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	backoff = 5 * time.Millisecond
	if distribution == "" && !devcluster.Fuzzing() {
		server, err := devcluster.Start(context.Background(), devcluster.Config{NoControlPlane: true, Registry: true, Log: os.Stderr})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if err := server.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}()
		distribution = server.Registry
	}
	return m.Run()
}

// eachRegistry runs the test against go-containerregistry's OCI registry and against a real one. f gets a
// prefix for repositories.
func eachRegistry(t *testing.T, f func(t *testing.T, prefix string)) {
	t.Run("memory", func(t *testing.T) { f(t, memoryRegistry(t)+"/models") })
	t.Run("real", func(t *testing.T) { f(t, fmt.Sprintf("%s/t%x/models", distribution, rand.Uint64())) })
}

func memoryRegistry(t *testing.T) string {
	s := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// requests records what the OCI registry answered. (To find out its scheme, go-containerregistry tries https
// on loopback too.)
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := remote.DefaultTransport.RoundTrip(req)
	if err == nil {
		r.mu.Lock()
		r.list = append(r.list, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
	}
	return resp, err
}

func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.list
	r.list = nil
	return l
}

func newBuilder(t *testing.T, cfg Config) *Builder {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func file(path, source, content string) registry.File {
	sum := sha256.Sum256([]byte(content))
	return registry.File{Path: path, Source: source, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
}

// version makes a version of files "path=content", and the repository that has them below data/.
func version(name string, files ...string) (*registry.ModelVersion, fstest.MapFS) {
	v := &registry.ModelVersion{Model: "iris", Name: name, Path: "models/iris/versions/" + name + ".yaml"}
	fsys := fstest.MapFS{}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		fsys["data/"+path] = &fstest.MapFile{Data: []byte(content)}
		v.Spec.Files = append(v.Spec.Files, file(path, "data/"+path, content))
	}
	return v, fsys
}

// secretOf gives a Secret for the sources of a prefix and an error for every other.
func secretOf(prefix string, secret Secret) Access {
	return func(_ context.Context, source string) (Secret, error) {
		if !strings.HasPrefix(source, prefix) {
			return nil, fmt.Errorf("%s is not below %s", source, prefix)
		}
		return secret, nil
	}
}

func ensure(t *testing.T, b *Builder, fsys fstest.MapFS, repository string, v *registry.ModelVersion) Result {
	t.Helper()
	res, err := b.Ensure(t.Context(), fsys, repository, v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func pull(t *testing.T, ref string) v1.Image {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("condition not met in 10 s")
			return
		}
	}
}
