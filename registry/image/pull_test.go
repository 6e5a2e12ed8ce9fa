package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// read lists the files below dir with their content.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := read(t, dir)
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s has %d bytes, want %d", name, len(got[name]), len(content))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is too much", name)
	}
}

var (
	long  = strings.Repeat("weights!", 3<<17) // 3 MiB
	model = map[string]string{"models/model.safetensors": long, "models/sub/labels.txt": "a b", "models/empty": ""}
)

func builtModel(t *testing.T, b *Builder, prefix string) string {
	t.Helper()
	v, fsys := version("v1", "model.safetensors="+long, "sub/labels.txt=a b", "empty=")
	return ensure(t, b, fsys, prefix+"/iris", v).Ref
}

func TestPull(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		reports := map[string]int64{}
		jobs := make(chan struct{}, 1) // reports come concurrently
		b := newBuilder(t, Config{Progress: func(p Progress) {
			jobs <- struct{}{}
			if p.Done == p.Total && strings.HasPrefix(p.Version, "iris@") {
				reports[p.File] = p.Total
			}
			<-jobs
		}})
		ref, dir := builtModel(t, b, prefix), filepath.Join(t.TempDir(), "new", "folder")
		clear(reports)
		got, err := b.Pull(t.Context(), ref, dir)
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, dir, model)
		if want := (Pulled{Ref: ref, Files: 3, Bytes: int64(len(long) + 3), BytesRead: int64(len(long) + 3)}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if len(reports) != 3 || reports["model.safetensors"] != int64(len(long)) {
			t.Errorf("progress: %v", reports)
		}
		// By the version's tag, onto what is there: one file is another's, one is cut off.
		for name, content := range map[string]string{"models/model.safetensors": strings.ToUpper(long), "models/sub/labels.txt": "a"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err = b.Pull(t.Context(), prefix+"/iris:v1", dir); err != nil || got.BytesRead != int64(len(long)+3) {
			t.Errorf("%+v, %v", got, err)
		}
		wantFiles(t, dir, model)
		if got, err = b.Pull(t.Context(), ref, dir); err != nil || got.BytesRead != 0 {
			t.Errorf("%d bytes read of what is there, %v", got.BytesRead, err)
		}
		wantFiles(t, dir, model)
		// A file that is not the image's stays, and nothing is changed beside it.
		if err := os.WriteFile(filepath.Join(dir, "models/old.safetensors"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "models/empty")); err != nil {
			t.Fatal(err)
		}
		_, err = b.Pull(t.Context(), ref, dir)
		if err == nil || !strings.Contains(err.Error(), "models/old.safetensors is not of iris@") {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "models/empty")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file was put beside one of another model: %v", err)
		}
	})
}

// breaking cuts what comes of blobs, and hurts it, as long as it is told to.
type breaking struct {
	after int  // bytes; all when 0
	hurt  bool // another first byte of content
}

func (b *breaking) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := remote.DefaultTransport.RoundTrip(req)
	if err != nil || !strings.Contains(req.URL.Path, "/blobs/") || req.Method != http.MethodGet {
		return resp, err
	}
	body := io.Reader(resp.Body)
	if b.hurt {
		data, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(bytes.Replace(data, []byte("weights!"), []byte("WEIGHTS!"), 1))
	}
	if b.after > 0 {
		body = io.MultiReader(io.LimitReader(body, int64(b.after)), broken{})
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line is broken") }

// TestPullGoesOn breaks connections, and then damages what was left.
func TestPullGoesOn(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		line := &breaking{}
		b, dir := newBuilder(t, Config{Transport: line}), t.TempDir()
		ref := builtModel(t, b, prefix)
		line.after = 512 << 10
		if _, err := b.Pull(t.Context(), ref, dir); err == nil || !strings.Contains(err.Error(), "the line is broken") {
			t.Fatal(err)
		}
		left := read(t, dir)
		had := int64(0)
		for name, content := range left {
			if !strings.HasPrefix(name, partialDir+"/") {
				t.Errorf("%s is seen before all is there", name)
			}
			had += int64(len(content))
		}
		if had < 512<<10 || had >= int64(len(long)) {
			t.Fatalf("%d bytes are left to go on from", had)
		}
		line.after = 0
		if got, err := b.Pull(t.Context(), ref, dir); err != nil || got.BytesRead != got.Bytes-had {
			t.Errorf("%d bytes read, %d were there: %v", got.BytesRead, had, err)
		}
		wantFiles(t, dir, model)

		for _, damage := range []string{"WEIGHTS!", strings.Repeat("longer!!", 4<<17)} {
			if err := os.RemoveAll(filepath.Join(dir, "models")); err != nil {
				t.Fatal(err)
			}
			for name, content := range left {
				full := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(full, []byte(damage+content[min(len(content), 8):]), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Pull(t.Context(), ref, dir); err != nil {
				t.Error(err)
			}
			wantFiles(t, dir, model)
		}
	})
}

// TestPullVerifies wants bytes that are not a digest's refused, however often it is tried.
func TestPullVerifies(t *testing.T) {
	line := &breaking{}
	b, dir := newBuilder(t, Config{Transport: line}), t.TempDir()
	ref := builtModel(t, b, memoryRegistry(t))
	line.hurt = true
	for range 2 {
		if _, err := b.Pull(t.Context(), ref, dir); !errors.Is(err, errDigest) {
			t.Error(err)
		}
	}
	for name := range read(t, dir) {
		if !strings.HasPrefix(name, partialDir+"/") {
			t.Errorf("%s was written", name)
		}
	}
}

// TestPullRefuses pushes images that would leave the folder, or are no model's.
func TestPullRefuses(t *testing.T) {
	prefix := memoryRegistry(t)
	regular := func(names ...string) (list []tar.Header) {
		for _, name := range names {
			list = append(list, tar.Header{Typeflag: tar.TypeReg, Name: name})
		}
		return list
	}
	link := func(kind byte) []tar.Header {
		return []tar.Header{{Typeflag: kind, Name: "models/a", Linkname: "/etc/passwd"}}
	}
	for what, c := range map[string]struct {
		layers [][]tar.Header
		want   string
	}{
		"up":               {[][]tar.Header{regular("models/../../a")}, `"models/../../a" in layer sha256:`},
		"absolute":         {[][]tar.Header{regular("/etc/passwd")}, "is not below models"},
		"beside":           {[][]tar.Header{regular("bin/sh")}, `"bin/sh" in layer`},
		"backslash":        {[][]tar.Header{regular(`models/..\a`)}, "is not below models"},
		"whiteout":         {[][]tar.Header{regular("models/.wh.a")}, "is not below models"},
		"symbolic link":    {[][]tar.Header{link(tar.TypeSymlink)}, "neither file nor folder of the model"},
		"hard link":        {[][]tar.Header{link(tar.TypeLink)}, "neither file nor folder of the model"},
		"device":           {[][]tar.Header{{{Typeflag: tar.TypeChar, Name: "models/a"}}}, "neither file nor folder of the model"},
		"folder up":        {[][]tar.Header{{{Typeflag: tar.TypeDir, Name: "models/../a/"}}}, "neither file nor folder of the model"},
		"two files":        {[][]tar.Header{regular("models/a", "models/b")}, "holds more than the file models/a"},
		"nothing":          {[][]tar.Header{{}}, "holds no file"},
		"only folders":     {[][]tar.Header{{{Typeflag: tar.TypeDir, Name: "models/"}}}, "holds no file"},
		"no layers":        {nil, "it has 0 layers"},
		"twice":            {[][]tar.Header{regular("models/a"), append([]tar.Header{{Typeflag: tar.TypeDir, Name: "models/"}}, regular("models/a")...)}, "two layers hold models/a"},
		"file and folder":  {[][]tar.Header{regular("models/a"), regular("models/a/b")}, "models/a is a file and a folder"},
		"too many folders": {[][]tar.Header{manyFolders()}, "holds no file"},
	} {
		t.Run(what, func(t *testing.T) {
			img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
			for _, headers := range c.layers {
				var buf bytes.Buffer
				w := tar.NewWriter(&buf)
				for _, h := range headers {
					if err := w.WriteHeader(&h); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if img, err = mutate.AppendLayers(img, static.NewLayer(buf.Bytes(), types.OCIUncompressedLayer)); err != nil {
					t.Fatal(err)
				}
			}
			ref, err := name.ParseReference(fmt.Sprintf("%s/hostile:%s", prefix, strings.ReplaceAll(what, " ", "-")))
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(ref, img); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			_, err = newBuilder(t, Config{}).Pull(t.Context(), ref.String(), filepath.Join(parent, "to"))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "is not a model image of davit's") {
				t.Errorf("%v, want %q", err, c.want)
			}
			for name := range read(t, parent) {
				if !strings.HasPrefix(name, "to/"+partialDir+"/") {
					t.Errorf("%s was written", name)
				}
			}
		})
	}
	pushTar(t, prefix+"/gzip:v1", types.OCILayer, "models/a=1")
	if _, err := newBuilder(t, Config{}).Pull(t.Context(), prefix+"/gzip:v1", t.TempDir()); err == nil || !strings.Contains(err.Error(), "is "+string(types.OCILayer)) {
		t.Error(err)
	}
	if _, err := newBuilder(t, Config{}).Pull(t.Context(), prefix+"/nothing:v1", t.TempDir()); err == nil || !strings.Contains(err.Error(), "nothing:v1 does not exist") {
		t.Error(err)
	}
}

func manyFolders() (list []tar.Header) {
	for i := range maxHead / blockSize {
		list = append(list, tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("models/%d/", i)})
	}
	return append(list, tar.Header{Typeflag: tar.TypeReg, Name: "models/a"})
}

// TestPullStaysInside wants links in the folder itself not followed out of it.
func TestPullStaysInside(t *testing.T) {
	b := newBuilder(t, Config{})
	ref := builtModel(t, b, memoryRegistry(t))
	for _, link := range []string{"models", partialDir, "models/sub", "models/empty"} {
		dir, outside := t.TempDir(), t.TempDir()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Pull(t.Context(), ref, dir)
		if err == nil && link != "models/empty" { // which is replaced
			t.Errorf("with a link at %s: no error", link)
		}
		wantFiles(t, outside, nil)
	}
}

func TestResolve(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		b := newBuilder(t, Config{})
		ref := builtModel(t, b, prefix)
		digest, err := b.Resolve(t.Context(), prefix+"/iris:v1")
		if err != nil || prefix+"/iris@"+digest != ref {
			t.Errorf("%s, %v; want that of %s", digest, err, ref)
		}
		if _, err := b.Resolve(t.Context(), prefix+"/iris:v9"); err == nil || err.Error() != prefix+"/iris:v9 does not exist in its OCI registry" {
			t.Error(err)
		}
	})
}

func TestReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for text, want := range map[string]Reference{
		"docker.io/vllm/vllm-openai:v1":        {"docker.io/vllm/vllm-openai", "v1", ""},
		"localhost:5000/a":                     {"localhost:5000/a", "", ""},
		"localhost:5000/a:b@" + digest:         {"localhost:5000/a", "b", digest},
		"a@" + digest:                          {"a", "", digest},
		"registry.example.com/a/b/c@" + digest: {"registry.example.com/a/b/c", "", digest},
	} {
		got, err := ParseReference(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := ParseReference(got.String()); err != nil || again.Repository != want.Repository || again.Digest != want.Digest {
			t.Errorf("%s is written %s", text, got)
		}
	}
	for _, text := range []string{"", "A B", "a@sha256:1", "https://a/b", "a:"} {
		if got, err := ParseReference(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for text, want := range map[string]string{
		"docker.io/vllm/vllm-openai": "mirror.example.com/hub/vllm/vllm-openai", "localhost:5000/a": "mirror.example.com/hub/a", "library/a": "mirror.example.com/hub/library/a",
	} {
		if got := (Reference{Repository: text}).Mirrored("mirror.example.com/hub/"); got.Repository != want {
			t.Errorf("%s: %s, want %s", text, got.Repository, want)
		}
	}
}
