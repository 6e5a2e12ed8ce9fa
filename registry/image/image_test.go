package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

func TestImage(t *testing.T) {
	long := strings.Repeat("d/", 60) + "ünï.bin"
	contents := map[string]string{
		"model.safetensors":  strings.Repeat("weights ", 100_000),
		"sub/dir/vocab.txt":  strings.Repeat("v", 512),
		"empty":              "",
		long:                 "deep",
		"sub/tokenizer.json": "{}",
	}
	var args []string
	for p, c := range contents {
		args = append(args, p+"="+c) // in the map's random order
	}
	v, fsys := version("v1", args...)
	eachRegistry(t, func(t *testing.T, prefix string) {
		var progress atomic.Int64
		b := newBuilder(t, Config{Progress: func(p Progress) {
			if p.Done == p.Total {
				progress.Add(1)
			}
		}})
		res := ensure(t, b, fsys, prefix+"/iris", v)
		if !res.Built || res.BytesRead != 800_518 || res.BytesUploaded <= res.BytesRead {
			t.Errorf("result %+v", res)
		}
		if progress.Load() != 5 {
			t.Errorf("%d of 5 files reported as done", progress.Load())
		}
		checkImage(t, pull(t, res.Ref), contents)

		tagged := pull(t, prefix+"/iris:"+Tag(v))
		if d, _ := tagged.Digest(); d.String() != res.Digest || res.Ref != prefix+"/iris@"+res.Digest {
			t.Errorf("tag is %v, result %+v", d, res)
		}
		other := *v
		other.Spec.Files = slices.Clone(v.Spec.Files)
		slices.Reverse(other.Spec.Files)
		if o := ensure(t, b, fsys, prefix+"/copy", &other); o.Digest != res.Digest || !o.Built {
			t.Errorf("other repository and order: %s, want %s", o.Digest, res.Digest)
		}
	})
}

func checkImage(t *testing.T, img v1.Image, contents map[string]string) {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := img.RawManifest()
	if m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || strings.Contains(string(raw), "artifactType") {
		t.Errorf("manifest %s", raw)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.OS != "linux" || cfg.Architecture != "amd64" || len(cfg.History) != 0 || cfg.RootFS.Type != "layers" {
		t.Errorf("config %+v", cfg)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for i, l := range layers {
		desc := m.Layers[i]
		if desc.MediaType != "application/vnd.oci.image.layer.v1.tar" || cfg.RootFS.DiffIDs[i] != desc.Digest {
			t.Errorf("layer %d: %+v, diff ID %v", i, desc, cfg.RootFS.DiffIDs[i])
		}
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != desc.Size {
			t.Errorf("layer %d has %d bytes, the descriptor says %d", i, len(data), desc.Size)
		}
		paths = append(paths, checkTar(t, data, contents))
	}
	if len(paths) != len(contents) || !slices.IsSorted(paths) {
		t.Errorf("layers %q", paths)
	}
}

// checkTar checks one layer and returns its file's path in the model.
func checkTar(t *testing.T, data []byte, contents map[string]string) string {
	t.Helper()
	var dirs []string
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || h.Uname+h.Gname != "" || len(h.PAXRecords) != 0 {
			t.Errorf("header %+v", h)
		}
		if h.Typeflag == tar.TypeDir {
			if h.Mode != 0o755 {
				t.Errorf("%s: mode %o", h.Name, h.Mode)
			}
			dirs = append(dirs, h.Name)
			continue
		}
		path := strings.TrimPrefix(h.Name, "models/")
		content, err := io.ReadAll(r)
		if err != nil || string(content) != contents[path] || h.Mode != 0o644 || h.Typeflag != tar.TypeReg {
			t.Errorf("%s: %d bytes, mode %o, type %c, %v", h.Name, len(content), h.Mode, h.Typeflag, err)
		}
		var want []string
		for i, c := range h.Name {
			if c == '/' {
				want = append(want, h.Name[:i+1])
			}
		}
		if !slices.Equal(dirs, want) {
			t.Errorf("folders %q, want %q", dirs, want)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after %s: %v", h.Name, err)
		}
		head, err := tarHead(path, h.Size)
		if err != nil {
			t.Fatal(err)
		}
		end := (len(head) + len(content) + 511) / 512 * 512
		if rest := data[end:]; !bytes.Equal(rest, make([]byte, 1024)) {
			t.Errorf("%s: %d bytes after the content, want exactly 1024 zero bytes", h.Name, len(rest))
		}
		return path
	}
}

func TestLargeHeader(t *testing.T) {
	for _, size := range []int64{maxUSTAR, maxUSTAR + 1, 70 << 30} {
		head, err := tarHead("m.gguf", size)
		if err != nil {
			t.Fatal(err)
		}
		if len(head) != 1024 {
			t.Errorf("size %d: head has %d bytes, want two blocks", size, len(head))
		}
		r := tar.NewReader(io.MultiReader(bytes.NewReader(head)))
		r.Next()
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		gnu := string(head[512+257:512+265]) == "ustar  \x00"
		if h.Size != size || gnu != (size > maxUSTAR) {
			t.Errorf("size %d: read back %d, GNU %v", size, h.Size, gnu)
		}
	}
}

func TestTag(t *testing.T) {
	v, _ := version("v1", "a=1", "b=2")
	tag := Tag(v)
	if !regexp.MustCompile(`^v1-[0-9a-f]{64}$`).MatchString(tag) {
		t.Errorf("tag %q", tag)
	}
	same, _ := version("v9", "b=2", "a=1")
	same.Model, same.Spec.Files[0].Source = "other", "https://example.com/b"
	if Tag(same) != tag {
		t.Error("name, order or source change the tag")
	}
	before := slices.Clone(same.Spec.Files)
	Tag(same)
	if !slices.Equal(before, same.Spec.Files) {
		t.Error("Tag sorts the version's own files")
	}
	for what, change := range map[string]func(*registry.ModelVersion){
		"format": func(v *registry.ModelVersion) { v.Spec.Format = "onnx" },
		"path":   func(v *registry.ModelVersion) { v.Spec.Files[0].Path = "c" },
		"sha256": func(v *registry.ModelVersion) { v.Spec.Files[0].SHA256 = strings.Repeat("0", 64) },
		"size":   func(v *registry.ModelVersion) { v.Spec.Files[0].Size++ },
		"files":  func(v *registry.ModelVersion) { v.Spec.Files = v.Spec.Files[1:] },
	} {
		v, _ := version("v1", "a=1", "b=2")
		change(v)
		if Tag(v) == tag {
			t.Errorf("%s does not change the tag", what)
		}
	}
	if p := Placeholder("127.0.0.1:5000/models/iris"); p != "127.0.0.1:5000/models/iris@sha256:"+strings.Repeat("0", 64) {
		t.Errorf("placeholder %q", p)
	} else if _, err := name.NewDigest(p); err != nil {
		t.Error(err)
	}
}

func TestConfigBytes(t *testing.T) {
	l, err := newLayer(file("a", "", "1"))
	if err != nil {
		t.Fatal(err)
	}
	l.digest = &v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	blob, m, err := assemble([]*layer{l})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := blob.Compressed()
	got, _ := io.ReadAll(r)
	want := `{"created":"1970-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("a", 64) + `"]}}`
	if string(got) != want || !json.Valid(m.raw) {
		t.Errorf("config\n %s, want\n %s", got, want)
	}
}
