package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
)

const runHash = "2041f890aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// weights are a safetensors file of two numbers.
const weights = "\x3c\x00\x00\x00\x00\x00\x00\x00" + `{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}      ` + "12345678"

func runOf(repository string) registry.RunSpec {
	seed := int64(42)
	return registry.RunSpec{
		Repository: repository, Model: "iris", Training: "iris/tune", Run: "tune-2041f890", Hash: runHash,
		Image: "127.0.0.1:5000/trainer@sha256:" + strings.Repeat("c", 64), BaseVersion: "iris@v1", Seed: &seed,
		Datasets:        []registry.RunDataset{{Name: "flowers", URI: "s3://data/flowers", SHA256: strings.Repeat("d", 64)}},
		Hyperparameters: map[string]json.RawMessage{"lr": json.RawMessage("0.1")},
	}
}

// outputOf makes a folder of files, "path=content", as a trainer leaves one.
func outputOf(t *testing.T, files ...string) fs.FS {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

func publishRun(t *testing.T, b *Builder, spec registry.RunSpec, output fs.FS) RunResult {
	t.Helper()
	r, err := b.PublishRun(t.Context(), spec, output)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pushes(requests []string) (n int) {
	for _, r := range requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
			n++
		}
	}
	return n
}

func TestPublishRun(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		spec := runOf(prefix + "/iris")
		sent := &requests{}
		output := outputOf(t, "model.safetensors="+weights, "sub/config.json={}", `metrics.json={"accuracy": 0.96, "auc": NaN}`, ".cache/x=1")
		first := publishRun(t, newBuilder(t, Config{Transport: sent}), spec, output)
		if first.Version.Format != "safetensors" || first.Version.Parameters != 2 || first.Version.Precision != "f32" {
			t.Errorf("knowledge: %+v", first.Version)
		}
		if len(first.Version.Metrics) != 1 || first.Version.Metrics["accuracy"] != 0.96 {
			t.Errorf("metrics %v, want accuracy alone", first.Version.Metrics)
		}
		if pushes(sent.take()) == 0 {
			t.Error("the first pushed nothing: what follows shows nothing")
		}
		again := publishRun(t, newBuilder(t, Config{Transport: sent}), spec, outputOf(t)) // not even looked at
		if n := pushes(sent.take()); n > 0 || !same(first, again) {
			t.Errorf("second: %d pushes, %+v, want %+v", n, again, first)
		}
		// The same output of another run is the same image.
		other := spec
		other.Hash = strings.Replace(runHash, "bb", "ee", 1)[:63] + "f"
		other.Hash = "77777777" + other.Hash[8:]
		other.Run = "tune-77777777"
		b := newBuilder(t, Config{Transport: sent})
		if r := publishRun(t, b, other, output); r.Digest != first.Digest {
			t.Errorf("equal output has digest %s, and %s", r.Digest, first.Digest)
		}
		for _, r := range sent.take() {
			if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/manifests/v1-") {
				t.Errorf("the image was pushed again: %s", r)
			}
		}
		// A version with the files of the result is the image, and nothing is read for it.
		v := &registry.ModelVersion{Model: "iris", Name: "v7", Path: "models/iris/versions/v7.yaml", Spec: first.Version}
		if r, err := newBuilder(t, Config{}).Ensure(t.Context(), fstest.MapFS{}, spec.Repository, v, nil); err != nil || r.Built || r.BytesRead > 0 || r.Digest != first.Digest {
			t.Errorf("the version's image: %+v, %v, want %s", r, err, first.Digest)
		}
		// Elsewhere it is built from the image: its sources are good.
		r, err := newBuilder(t, Config{}).Ensure(t.Context(), fstest.MapFS{}, prefix+"/copy", v, nil)
		if err != nil || !r.Built || r.Digest != first.Digest {
			t.Errorf("from its sources: %+v, %v, want %s", r, err, first.Digest)
		}
	})
}

func same(a, b RunResult) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestRunProvenance(t *testing.T) {
	spec := runOf(memoryRegistry(t) + "/iris")
	r := publishRun(t, newBuilder(t, Config{}), spec, outputOf(t, "model.safetensors="+weights))
	img := pull(t, spec.Repository+":"+runTag(runHash))
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%d blobs, %v; want a result and a provenance", len(layers), err)
	}
	in, err := layers[1].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		strings.TrimPrefix(r.Digest, "sha256:"), `"trainedBy":"tune-2041f890"`, `"runHash":"` + runHash, `"baseVersion":"iris@v1"`, `"seed":42`,
		`"hyperparameters":{"lr":0.1}`, strings.Repeat("c", 64), strings.Repeat("d", 64), `"training":"iris/tune"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the provenance lacks %s:\n%s", want, text)
		}
	}
}

// crashing lets all through but what puts a manifest under a tag that begins so, the first time.
type crashing struct {
	requests
	tag     string
	refused atomic.Int64
}

func (b *crashing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"+b.tag) && b.refused.Add(1) == 1 {
		return nil, errors.New("the node is gone")
	}
	return b.requests.RoundTrip(r)
}

func TestPublishRunResumes(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		spec := runOf(prefix + "/iris")
		transport := &crashing{tag: "run-"}
		output := outputOf(t, "model.safetensors="+weights)
		if _, err := newBuilder(t, Config{Transport: transport}).PublishRun(t.Context(), spec, output); err == nil {
			t.Fatal("no error, though the result was refused")
		} else if _, content := errors.AsType[*ContentError](err); content {
			t.Fatalf("called the output's fault: %v", err)
		}
		b := newBuilder(t, Config{Transport: transport})
		if _, ok, err := b.RunResult(t.Context(), spec.Repository, runHash); ok || err != nil {
			t.Errorf("a result before it was pushed: %v, %v", ok, err)
		}
		transport.take()
		publishRun(t, b, spec, output)
		for _, r := range transport.take() {
			if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/manifests/") && !strings.Contains(r, "/manifests/run-") && !strings.Contains(r, "/manifests/sha256-") {
				t.Errorf("pushed again: %s", r)
			}
		}
		if _, ok, err := b.RunResult(t.Context(), spec.Repository, runHash); !ok || err != nil {
			t.Errorf("no result: %v", err)
		}
	})
}

// What an attempt uploaded, the next one of the same Builder does not upload again, though no image has it yet.
func TestPublishRunUploadsOnce(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		transport := &crashing{tag: "v1-"}
		b, spec, output := newBuilder(t, Config{Transport: transport}), runOf(prefix+"/iris"), outputOf(t, "model.safetensors="+weights)
		if _, err := b.PublishRun(t.Context(), spec, output); err == nil {
			t.Fatal("no error, though the image was refused")
		}
		uploads := func() (n int) {
			for _, r := range transport.take() {
				if strings.HasPrefix(r, "PATCH ") {
					n++
				}
			}
			return n
		}
		before := uploads() // the layer, the config and ModelPack's
		publishRun(t, b, spec, output)
		if n := uploads(); before != 3 || n != 3 {
			t.Errorf("%d uploads, then %d; want 3, and then those of the result alone: its own, the provenance and its config", before, n)
		}
	})
}

// An OCI registry that is down is no fault of the output, and is there later, at the same address.
func TestPublishRunLater(t *testing.T) {
	address, err := devcluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	spec, output, b := runOf(address+"/later/iris"), outputOf(t, "model.safetensors="+weights), newBuilder(t, Config{})
	if _, err := b.PublishRun(t.Context(), spec, output); err == nil {
		t.Fatal("published nowhere")
	} else if _, content := errors.AsType[*ContentError](err); content {
		t.Fatalf("called the output's fault: %v", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: distribution})}
	go server.Serve(listener)
	defer server.Close()
	publishRun(t, b, spec, output)
}

func TestPublishRunRefuses(t *testing.T) {
	repository := memoryRegistry(t) + "/iris"
	many := []string{}
	for i := range MaxFiles + 1 {
		many = append(many, fmt.Sprintf("f%d=1", i))
	}
	linked := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "model.bin")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		output fs.FS
		want   string
	}{
		{outputOf(t), "there is no file"},
		{outputOf(t, `metrics.json={"a":1}`), "there is no file"},
		{outputOf(t, many...), "more than 300 files"},
		{os.DirFS(linked), "model.bin is a symbolic link"},
		{outputOf(t, "model.safetensors=cut"), "has no safetensors header"},
		{outputOf(t, "model.safetensors="+weights, "optimizer.pt=x"), "two formats, safetensors (model.safetensors) and pytorch (optimizer.pt)"},
		{outputOf(t, "weights=\x80\x04\x95abc"), "is a pickle"},
		{outputOf(t, "what?=1"), "has a ? or #"},
		{outputOf(t, "a/.wh.b=1", "dir/\x01=1"), "can't"},
	} {
		_, err := newBuilder(t, Config{}).PublishRun(t.Context(), runOf(repository), c.output)
		if _, content := errors.AsType[*ContentError](err); !content {
			t.Errorf("%s: %v, want a ContentError", c.want, err)
		} else if c.want != "can't" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if tags, err := crane.ListTags(repository); err == nil && len(tags) > 0 {
		t.Errorf("tags %q of what is no model", tags)
	}
	spec := runOf(repository)
	spec.Hash = "ff" + spec.Hash[2:]
	if _, err := newBuilder(t, Config{}).PublishRun(t.Context(), spec, outputOf(t, "a=1")); err == nil {
		t.Error("a run of another hash was published")
	}
}

func TestRunMetrics(t *testing.T) {
	several := map[string]float64{}
	for i := range maxMetrics + 5 {
		several[fmt.Sprintf("m%03d", i)] = 1
	}
	long, err := json.Marshal(several)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, told string
		want       int
	}{
		{`{"a": 1, "b": {"c": 2}, "d": "3", "e": [4], "f": null}`, "metric=e", 1},
		{`{"a": 1, "b": Infinity, "c":-Infinity}`, "metric=c", 1},
		{`{"a": 1e999, "b": 2}`, "metric=a", 1},
		{`{"a\nb": 1, "": 2, "c": 3}`, `metric=""`, 1},
		{`[1]`, "not an object", 0},
		{`{`, "not an object", 0},
		{strings.Repeat(" ", maxMetricsFile) + "{}", "at most 16384 bytes", 0},
		{string(long), "metric=m204", maxMetrics},
	} {
		var said bytes.Buffer
		b := newBuilder(t, Config{Log: slog.New(slog.NewTextHandler(&said, nil))})
		got, err := b.metrics(fstest.MapFS{metricsFile: {Data: []byte(c.text)}})
		if err != nil || len(got) != c.want || !strings.Contains(said.String(), c.told) {
			t.Errorf("%.40s: %v, %v, want %d and %q told; told:\n%s", c.text, got, err, c.want, c.told, &said)
		}
	}
}

// Whoever may push can write a result: it is believed only where it agrees with the run and with the image.
func TestHostileRunResult(t *testing.T) {
	repository := memoryRegistry(t) + "/iris"
	b := newBuilder(t, Config{})
	good := publishRun(t, b, runOf(repository), outputOf(t, "model.safetensors="+weights))
	for name, edit := range map[string]func(*RunResult){
		"":              func(r *RunResult) {}, // the control: as it was, it counts
		"hash":          func(r *RunResult) { r.Hash = strings.Repeat("a", 64) },
		"run":           func(r *RunResult) { r.Run = "tune-12345678" },
		"no run":        func(r *RunResult) { r.Run = "" },
		"digest":        func(r *RunResult) { r.Digest = "sha256:" + strings.Repeat("1", 64) },
		"no files":      func(r *RunResult) { r.Version.Files = nil },
		"path":          func(r *RunResult) { r.Version.Files[0].Path = "../../etc/passwd" },
		"size":          func(r *RunResult) { r.Version.Files[0].Size = -1 },
		"another size":  func(r *RunResult) { r.Version.Files[0].Size++ },
		"sha256":        func(r *RunResult) { r.Version.Files[0].SHA256 = "x" },
		"another file":  func(r *RunResult) { r.Version.Files[0].SHA256 = strings.Repeat("0", 64) },
		"source":        func(r *RunResult) { r.Version.Files[0].Source = "https://user:secret@evil.example/model" },
		"path as text":  func(r *RunResult) { r.Version.Files[0].Source = "/etc/passwd" },
		"format":        func(r *RunResult) { r.Version.Format = "gguf\nspec:" },
		"parameters":    func(r *RunResult) { r.Version.Parameters = -1 },
		"metric":        func(r *RunResult) { r.Version.Metrics = map[string]float64{"a\n": 1} },
		"metrics":       func(r *RunResult) { r.Version.Metrics = manyMetrics() },
		"subject alone": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			r.Version.Files = append([]registry.File{}, good.Version.Files...)
			subject := good.Digest
			if edit == nil {
				subject = "sha256:" + strings.Repeat("2", 64)
			} else {
				edit(&r)
			}
			raw, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			putResult(t, repository, subject, raw)
			got, ok, err := b.RunResult(t.Context(), repository, runHash)
			if name == "" {
				if !ok || err != nil || !same(got, good) {
					t.Errorf("%+v, %v, %v", got, ok, err)
				}
				return
			}
			if _, content := errors.AsType[*ContentError](err); !content || ok {
				t.Errorf("%v, %v, want a ContentError", ok, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has a password: %v", err)
			}
		})
	}
	for name, raw := range map[string]string{
		"NaN":      strings.Replace(string(mustJSON(t, good)), `"ended"`, `"x":NaN,"ended"`, 1),
		"infinite": strings.Replace(string(mustJSON(t, good)), `"files"`, `"metrics":{"a":1e999},"files"`, 1),
		"text":     "not JSON",
		"long":     `{"run":"` + strings.Repeat("x", maxRunResult) + `"}`,
		"deep":     strings.Repeat("[", 100_000),
	} {
		putResult(t, repository, good.Digest, []byte(raw))
		if _, ok, err := b.RunResult(t.Context(), repository, runHash); ok || err == nil {
			t.Errorf("%s: %v, %v, want an error", name, ok, err)
		}
	}
	// An image under the tag, which is no result.
	if err := crane.Copy(repository+"@"+good.Digest, repository+":"+runTag(runHash)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := b.RunResult(t.Context(), repository, runHash); ok || err == nil {
		t.Errorf("an image as a result: %v, %v", ok, err)
	}
}

// A result whose image was deleted is not believed, and the run is published again.
func TestRunResultWithoutImage(t *testing.T) {
	repository := memoryRegistry(t) + "/iris"
	spec, output := runOf(repository), outputOf(t, "model.safetensors="+weights)
	good := publishRun(t, newBuilder(t, Config{}), spec, output)
	if err := crane.Delete(repository + "@" + good.Digest); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t, Config{})
	if _, ok, err := b.RunResult(t.Context(), repository, runHash); ok || err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v, %v, want that the image is gone", ok, err)
	}
	// The OCI registry in memory keeps a tag beside its digest; a real one does not.
	for _, tag := range []string{"v1-"} {
		tags, err := crane.ListTags(repository)
		if err != nil {
			t.Fatal(err)
		}
		for _, have := range tags {
			if strings.HasPrefix(have, tag) {
				if err := crane.Delete(repository + ":" + have); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if r := publishRun(t, b, spec, output); r.Digest != good.Digest {
		t.Errorf("again: %s, want %s", r.Digest, good.Digest)
	}
	if _, ok, err := b.RunResult(t.Context(), repository, runHash); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func manyMetrics() map[string]float64 {
	out := map[string]float64{}
	for i := range maxMetrics + 1 {
		out[fmt.Sprint("m", i)] = 1
	}
	return out
}

// putResult pushes any text as a run's result, as whoever may push can.
func putResult(t *testing.T, repository, subject string, raw []byte) {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := v1.NewHash(subject)
	if err != nil {
		t.Fatal(err)
	}
	blob := static.NewLayer(raw, runType)
	m, err := runManifest(v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 2, Digest: digest}, []v1.Layer{blob})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []v1.Layer{blob, emptyJSON} {
		if err := remote.WriteLayer(repo, l); err != nil {
			t.Fatal(err)
		}
	}
	pusher, err := remote.NewPusher()
	if err != nil {
		t.Fatal(err)
	}
	if err := pusher.Put(t.Context(), repo.Tag(runTag(runHash)), m); err != nil {
		t.Fatal(err)
	}
}

// TestWorstMetric: of several that can't be metrics the same one is told each time.
func TestWorstMetric(t *testing.T) {
	for range 20 {
		if err := checkMetrics(map[string]float64{"d\n": 1, "b\n": 1, "c\n": 1, "a": 1}); err == nil || !strings.Contains(err.Error(), `metric "b\n"`) {
			t.Fatalf("%v", err)
		}
	}
}
