package image

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/davit-dev/davit/registry"
)

// TestContentErrors holds for every fault of the revision: the text, the type, and that nothing is published.
func TestContentErrors(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.Header().Set("Content-Length", "5000")
			io.WriteString(w, strings.Repeat("x", 5000))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer web.Close()
	withUser := strings.Replace(web.URL, "://", "://me:pl4nted-user@", 1)
	lfs := "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n"
	zeros := strings.Repeat("0", 64)
	sumOfOne := file("", "", "1").SHA256

	for what, c := range map[string]struct {
		change func(*registry.File)
		want   string
	}{
		"sha256":     {func(f *registry.File) { f.SHA256 = zeros }, `sha256 is ` + sumOfOne + `, the file says ` + zeros + `; run davit add to write it anew`},
		"short":      {func(f *registry.File) { f.Size = 2 }, `size is 1, the file says 2; run davit add to write it anew`},
		"long":       {func(f *registry.File) { f.Size = 0 }, `is longer than the 0 bytes the file says; run davit add to write it anew`},
		"missing":    {func(f *registry.File) { f.Source = "data/none" }, `source "data/none" does not exist in the repository; commit it or correct the path`},
		"traversal":  {func(f *registry.File) { f.Source = "data/../../etc/passwd" }, `source "data/../../etc/passwd" is not a path from the repository's root, without ".."`},
		"absolute":   {func(f *registry.File) { f.Source = "/etc/passwd" }, `source "/etc/passwd" is not a path from the repository's root, without ".."`},
		"folder":     {func(f *registry.File) { f.Source = "data" }, `source "data" is not a file`},
		"lfs":        {func(f *registry.File) { *f = file(f.Path, "data/lfs", lfs) }, errLFS.Error()},
		"lfs size":   {func(f *registry.File) { f.Source = "data/lfs"; f.Size = 5 }, errLFS.Error()},
		"scheme":     {func(f *registry.File) { f.Source = "ftp://k:secret@host/x?sig=1" }, `source ftp://host/x?…: scheme "ftp" is not supported; use a path in the repository, or an https://, s3://, gs://, azblob://, hf:// or oci:// address`},
		"bucket":     {func(f *registry.File) { f.Source = "s3://k:secret@bucket/x?sig=1" }, `source s3://bucket/x?… is not of the form scheme://bucket/key`},
		"404":        {func(f *registry.File) { f.Source = withUser + "/x?token=pl4nted-query" }, `source ` + web.URL + `/x?…: 404 Not Found; correct the address or put the file there`},
		"length":     {func(f *registry.File) { f.Source = web.URL + "/long" }, `size is 5000, the file says 1; run davit add to write it anew`},
		"path":       {func(f *registry.File) { f.Path = "../a" }, `the path must be relative, with slashes and without ".."`},
		"whiteout":   {func(f *registry.File) { f.Path = "x/.wh.b" }, `names that begin with .wh. delete files in an OCI image; rename it`},
		"twice":      {func(f *registry.File) { f.Path = "b" }, `is listed twice; remove one`},
		"file, dir":  {func(f *registry.File) { f.Path = "b/c" }, `"b" is a file too; it can't be its folder`},
		"bad sha256": {func(f *registry.File) { f.SHA256 = "ABC" }, `sha256 "ABC" is not 64 lower-case hex digits; run davit add to write it anew`},
	} {
		t.Run(what, func(t *testing.T) {
			eachRegistry(t, func(t *testing.T, prefix string) {
				v, fsys := version("v2", "model.safetensors=1", "b=2")
				fsys["data/lfs"] = &fstest.MapFile{Data: []byte(lfs)}
				c.change(&v.Spec.Files[0])
				sent := &requests{}
				b := newBuilder(t, Config{Transport: sent})
				_, err := b.Ensure(t.Context(), fsys, prefix+"/iris", v, nil)
				if err == nil {
					t.Fatal("no error")
				}
				content, ok := errors.AsType[*ContentError](err)
				bad := v.Spec.Files[0].Path
				if what == "twice" {
					bad = "b"
				}
				if want := fmt.Sprintf("models/iris/versions/v2.yaml: file %q: %s", bad, c.want); err.Error() != want || !ok || content.File != bad {
					t.Errorf("error\n %v, want\n %s", err, want)
				}
				for _, r := range sent.take() {
					if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/manifests/") {
						t.Errorf("published: %s", r)
					}
				}
				if _, ok, err := b.Find(t.Context(), prefix+"/iris", v); ok || err != nil {
					t.Errorf("tag is there: %v, %v", ok, err)
				}
			})
		})
	}
}

// TestHTTPCredentials: an address that wants a password or a token gets the one that was granted for it.
func TestHTTPCredentials(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user+":"+password != "ada:pl4nted-source" && r.Header.Get("Authorization") != "Bearer pl4nted-bearer" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "1")
	}))
	t.Cleanup(web.Close)
	for what, c := range map[string]struct {
		access Access
		want   string
	}{
		"nobody":      {nil, "401 Unauthorized"},
		"a password":  {secretOf(web.URL+"/", Secret{"username": "ada", "password": "pl4nted-source"}), ""},
		"a token":     {secretOf(web.URL+"/", Secret{"token": "pl4nted-bearer"}), ""},
		"another":     {secretOf(web.URL+"/", Secret{"token": "pl4nted-other"}), "401 Unauthorized"},
		"not granted": {secretOf("https://example.com/", nil), "is not below https://example.com/"},
	} {
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.bin", web.URL+"/model", "1")}
		_, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, c.access)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// TestBadLine: a long file comes over a line that breaks every megabyte and a half, from servers with and without ranges.
func TestBadLine(t *testing.T) {
	content := strings.Repeat("weights ", 1<<20) // 8 MiB
	for _, ranges := range []bool{true, false} {
		var served int
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			served++
			if !ranges {
				r.Header.Del("Range")
			}
			size := len(content)
			if ranges {
				size = 3 << 19
			} else if served < 3 {
				size = served * 3 << 20
			}
			http.ServeContent(&short{ResponseWriter: w, left: size}, r, "", time.Time{}, strings.NewReader(content))
		}))
		web.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(web.Close)
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.dat", web.URL+"/model", content)}
		if res, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, nil); err != nil || served < 3 {
			t.Errorf("ranges %v: %+v, %v after %d connections", ranges, res, err, served)
		}
	}
}

// short breaks an answer off.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p[:min(len(p), s.left)])
	if s.left -= n; s.left == 0 && err == nil {
		panic(http.ErrAbortHandler) // how a handler breaks its connection
	}
	return n, err
}

func TestFileCount(t *testing.T) {
	b := newBuilder(t, Config{})
	var many []string
	for i := range MaxFiles + 1 {
		many = append(many, fmt.Sprintf("f%d=x", i))
	}
	for _, files := range [][]string{nil, many} {
		v, fsys := version("v1", files...)
		_, err := b.Ensure(t.Context(), fsys, "127.0.0.1:1/iris", v, nil)
		if want := fmt.Sprintf("models/iris/versions/v1.yaml: %d files: an image holds 1 to 300", len(files)); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestSymlink(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{
		os.WriteFile(secret, []byte("1"), 0o600),
		os.Symlink(secret, filepath.Join(dir, "link")),
		os.Symlink(filepath.Dir(secret), filepath.Join(dir, "dir")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{"link", "dir/secret"} {
		_, err := openRepository(os.DirFS(dir), file("a", source, "1"))
		if _, ok := errors.AsType[*ContentError](err); !ok || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// TestBrokenConnections breaks the first connections in the middle of the body.
func TestBrokenConnections(t *testing.T) {
	content := strings.Repeat("0123456789", 50_000)
	for _, ranges := range []bool{true, false} {
		for broken := range retries + 2 {
			t.Run(fmt.Sprintf("ranges=%v/%d", ranges, broken), func(t *testing.T) {
				var calls, resumed atomic.Int64
				web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Range") != "" {
						resumed.Add(1)
					}
					if int(calls.Add(1)) <= broken {
						w.Header().Set("Content-Length", fmt.Sprint(len(content)))
						io.WriteString(w, content[:200_000])
						panic(http.ErrAbortHandler)
					}
					if !ranges {
						io.WriteString(w, content)
						return
					}
					http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
				}))
				web.Config.ErrorLog = log.New(io.Discard, "", 0)
				defer web.Close()
				v, _ := version("v1")
				v.Spec.Files = []registry.File{file("m.bin", web.URL+"/m?sig=pl4nted-query", content)}
				sent := &requests{}
				b := newBuilder(t, Config{Transport: sent})
				res, err := b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, nil)
				if broken > retries {
					if _, ok := errors.AsType[*ContentError](err); err == nil || ok || strings.Contains(err.Error(), "pl4nted") ||
						!strings.HasPrefix(err.Error(), `models/iris/versions/v1.yaml: file "m.bin": reading `+web.URL+`/m?…, after 2 retries: `) {
						t.Errorf("error %v", err)
					}
					return
				}
				if err != nil || !res.Built || res.BytesRead != int64(len(content)) {
					t.Errorf("%+v, %v", res, err)
				}
				if broken > 0 && resumed.Load() == 0 {
					t.Error("read anew from the start")
				}
				patches := 0
				for _, r := range sent.take() {
					if strings.HasPrefix(r, "PATCH ") {
						patches++
					}
				}
				if patches != 3 {
					t.Errorf("%d uploads, want 3: the file and two configs", patches)
				}
			})
		}
	}
}

func TestSourceStatus(t *testing.T) {
	for code, want := range map[int]struct{ calls, content bool }{
		http.StatusServiceUnavailable: {calls: true},
		http.StatusForbidden:          {},
		http.StatusGone:               {content: true},
	} {
		var calls atomic.Int64
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.WriteHeader(code)
		}))
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("m", web.URL, "1")}
		_, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, nil)
		web.Close()
		if _, ok := errors.AsType[*ContentError](err); err == nil || ok != want.content || (calls.Load() == 1+retries) != want.calls {
			t.Errorf("%d: %v after %d calls", code, err, calls.Load())
		}
	}
}
