package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

// FuzzTar holds the frame around a file against archive/tar: it writes the same bytes, and reads the file out of them.
func FuzzTar(f *testing.F) {
	f.Add("model.safetensors", []byte("weights"))
	f.Add(strings.Repeat("d/", 60)+"ünïcode", bytes.Repeat([]byte{1}, blockSize))
	f.Add("a b\xff", []byte{})
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if checkPath(name) != nil {
			return
		}
		l, err := newLayer(registry.File{Path: name, Size: int64(len(content))})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		got, err := io.ReadAll(frame(l.head, bytes.NewReader(content), l.file.Size))
		if err != nil || int64(len(got)) != l.size {
			t.Fatalf("%d bytes, want %d, %v", len(got), l.size, err)
		}
		if want := written(t, path.Join(root, name), content); !bytes.Equal(got, want) {
			t.Errorf("%q: archive/tar writes\n%q, davit\n%q", name, want, got)
		}
		var last *tar.Header
		for r := tar.NewReader(bytes.NewReader(got)); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(time.Unix(0, 0)) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
				t.Errorf("%+v", h)
			}
			if last = h; h.Typeflag == tar.TypeReg {
				if read, err := io.ReadAll(r); err != nil || !bytes.Equal(read, content) {
					t.Errorf("%q, %v", read, err)
				}
			} else if !strings.HasPrefix(path.Join(root, name), h.Name) {
				t.Errorf("entry %q of %q", h.Name, name)
			}
		}
		if last == nil || last.Name != path.Join(root, name) || last.Typeflag != tar.TypeReg || last.Mode != 0o644 {
			t.Errorf("the file is %+v", last)
		}
	})
}

// written is what archive/tar alone makes of it.
func written(t testing.TB, name string, content []byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(h *tar.Header) {
		h.ModTime, h.Format = time.Unix(0, 0), tar.FormatGNU
		if fitsUSTAR(h.Name) {
			h.Format = tar.FormatUSTAR
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []byte(name) {
		if c == '/' {
			put(&tar.Header{Typeflag: tar.TypeDir, Name: name[:i+1], Mode: 0o755})
		}
	}
	put(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzLayer looks for a file in layers that others made: its path is one within the layer, and its content the entry's.
func FuzzLayer(f *testing.F) {
	whole := written(f, "models/a/b.txt", []byte("hello"))
	f.Add(whole, uint8(0), "a/b.txt")
	f.Add(written(f, "../../models/x", []byte("hello")), uint8(0), "x")
	f.Add([]byte("\x1f\x8b\x08"), uint8(1), "x")
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\x58"), uint8(2), "x")
	for _, layer := range sparse(f) {
		f.Add(layer, uint8(1), "w.bin")
		z, err := gzip.NewReader(bytes.NewReader(layer))
		if err != nil {
			f.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain, uint8(0), "w.bin")
	}
	f.Fuzz(func(t *testing.T, blob []byte, kind uint8, file string) {
		media := []string{"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"}[kind%3]
		r, err := find(io.NopCloser(bytes.NewReader(blob)), v1.Descriptor{MediaType: types.MediaType(media)}, file)
		if err != nil {
			return
		}
		if file != "" && !fs.ValidPath(file) {
			t.Errorf("found %q", file)
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err == nil && kind%3 == 0 && n > int64(len(blob)) {
			t.Errorf("%d bytes of %d", n, len(blob))
		}
	})
}
