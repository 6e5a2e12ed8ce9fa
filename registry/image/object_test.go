package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/registry"
)

// serve runs a server that others wrote until the test ends; port is where it is to listen.
func serve(t *testing.T, args func(port string) []string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "-modfile=../../.ci/tools/go.mod"}, args(port)...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) { // it may have to be built first
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		select {
		case <-ended:
			t.Fatal("the server has ended")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not answer")
		}
	}
}

// put writes an object where the servers of this test keep theirs.
func put(t *testing.T, dir, key, content string) {
	t.Helper()
	name := filepath.Join(dir, key)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// breaker forwards to a server, and breaks off the first answers with a body in the middle.
func breaker(t *testing.T, to string, breaks int64) (address string, ranges *atomic.Int64) {
	target, err := url.Parse("http://" + to)
	if err != nil {
		t.Fatal(err)
	}
	var left, resumed atomic.Int64
	left.Store(breaks)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Header.Get("Authorization") != "" {
				r.Out.Host = r.In.Host // it is part of what is signed
			}
			if rg := r.In.Header.Get("Range"); rg != "" && !strings.HasPrefix(rg, "bytes=0-") {
				resumed.Add(1)
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if resp.Request.Method == http.MethodGet && resp.ContentLength > 1000 && left.Add(-1) >= 0 {
				resp.Body = io.NopCloser(io.LimitReader(resp.Body, resp.ContentLength/2))
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s := httptest.NewServer(proxy)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the answers it breaks off
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), &resumed
}

// TestObjectStorage reads versions from servers of the protocols of S3 and of Google Cloud Storage: what they say, what
// they do not, and after a connection that broke.
func TestObjectStorage(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("weights ", 10_000)
	put(t, dir, "models/iris/model.safetensors", content)
	t.Setenv("AWS_ACCESS_KEY_ID", "davit")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "davits3cret")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	s3 := serve(t, func(port string) []string {
		return []string{"versitygw", "--access", "davit", "--secret", "davits3cret", "--port", "127.0.0.1:" + port, "posix", dir}
	})
	gcs := serve(t, func(port string) []string {
		return []string{"fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-data", dir, "-public-host", "127.0.0.1:" + port}
	})
	for scheme, server := range map[string]string{"s3": s3, "gs": gcs} {
		for _, breaks := range []int64{0, 2} {
			t.Run(fmt.Sprintf("%s/%d", scheme, breaks), func(t *testing.T) {
				at, resumed := breaker(t, server, breaks)
				t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+at)
				t.Setenv("STORAGE_EMULATOR_HOST", at)
				b := newBuilder(t, Config{S3PathStyle: true})
				read := func(key, content string) (Result, error) {
					v, _ := version("v1")
					v.Spec.Files = []registry.File{file("model.safetensors", scheme+"://models/"+key, content)}
					return b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v)
				}
				res, err := read("iris/model.safetensors", content)
				if err != nil || res.BytesRead != int64(len(content)) {
					t.Fatalf("%+v, %v", res, err)
				}
				if breaks > 0 && resumed.Load() == 0 {
					t.Error("read anew from the start")
				}
				for what, c := range map[string]struct{ key, content, want string }{
					"missing":   {"iris/none", content, "does not exist"},
					"size":      {"iris/model.safetensors", content + "more", "size is 80000"},
					"content":   {"iris/model.safetensors", strings.ToUpper(content), "sha256 is"},
					"a version": {"iris/model.safetensors?versionId=1", content, "not of the form"},
				} {
					_, err := read(c.key, c.content)
					if _, ok := errors.AsType[*ContentError](err); !ok || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s: %v, want %q", what, err, c.want)
					}
				}
			})
		}
	}
	t.Run("wrong credentials", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+s3)
		t.Setenv("AWS_SECRET_ACCESS_KEY", "wrongs3cret")
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.safetensors", "s3://models/iris/model.safetensors", content)}
		_, err := newBuilder(t, Config{S3PathStyle: true}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v)
		if _, ok := errors.AsType[*ContentError](err); err == nil || ok || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v", err)
		}
	})
}
