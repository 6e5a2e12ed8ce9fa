package image

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"gocloud.dev/blob"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
)

// serve runs a tool that is a server until the test ends; port is where it is to listen.
func serve(t *testing.T, args func(port string) []string) (address string) {
	t.Helper()
	return serveCommand(t, func(ctx context.Context, port string) *exec.Cmd {
		return exec.CommandContext(ctx, "go", append([]string{"tool", "-modfile=../../.ci/tools/go.mod"}, args(port)...)...)
	})
}

// serveCommand runs a server that others wrote until the test ends.
func serveCommand(t *testing.T, command func(ctx context.Context, port string) *exec.Cmd) (address string) {
	t.Helper()
	address, err := devcluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := command(ctx, port)
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

// metered forwards to a server and counts the bytes of its answers.
func metered(t *testing.T, to string) (address string, sent *atomic.Int64) {
	target := &url.URL{Scheme: "http", Host: to}
	sent = &atomic.Int64{}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is part of what is signed
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Body = &meter{ReadCloser: resp.Body, sent: sent, gone: resp.Request.Context().Done()}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // of answers that nobody reads to the end
	})
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), sent
}

// meteredAhead is what a metered server sends of an answer at once. The rest comes once nobody can have hung up.
const meteredAhead = 1 << 20

type meter struct {
	io.ReadCloser
	sent *atomic.Int64
	gone <-chan struct{} // the client hung up
	all  bool
}

func (m *meter) Read(p []byte) (int, error) {
	if m.sent.Load() > meteredAhead && !m.all {
		select {
		case <-m.gone:
			return 0, io.ErrUnexpectedEOF
		case <-time.After(time.Minute):
			m.all = true
		}
	}
	n, err := m.ReadCloser.Read(p)
	m.sent.Add(int64(n))
	return n, err
}

// TestObjectStorage reads versions from servers of the protocols of S3 and of Google Cloud Storage: what they say, what
// they do not, and after a connection that broke.
func TestObjectStorage(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("weights ", 10_000)
	put(t, dir, "models/iris/model.safetensors", content)
	put(t, dir, "models/folder/weights.dat", content)
	for _, key := range []string{"w#1.txt", "w", "a%20b.txt", "a b.txt"} { // "#" and "%" are letters like others
		put(t, dir, "models/odd/"+key, "content of "+key)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "davit")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "pl4nted-s3")
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	s3 := serve(t, func(port string) []string {
		return []string{"versitygw", "--access", "davit", "--secret", "pl4nted-s3", "--port", "127.0.0.1:" + port, "posix", dir}
	})
	gcs := serve(t, func(port string) []string {
		return []string{"fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory", "-data", dir, "-public-host", "127.0.0.1:" + port}
	})
	for scheme, server := range map[string]string{"s3": s3, "gs": gcs} {
		for _, breaks := range []int64{0, 2} {
			t.Run(fmt.Sprintf("%s/%d", scheme, breaks), func(t *testing.T) {
				at, resumed := breaker(t, server, breaks)
				t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+at)
				b := newBuilder(t, Config{S3PathStyle: true, GCSEndpoint: "http://" + at})
				read := func(key, content string) (Result, error) {
					v, _ := version("v1")
					v.Spec.Files = []registry.File{file("model.safetensors", scheme+"://models/"+key, content)}
					return b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, nil)
				}
				res, err := read("iris/model.safetensors", content)
				if err != nil || res.BytesRead != int64(len(content)) {
					t.Fatalf("%+v, %v", res, err)
				}
				if breaks > 0 && resumed.Load() == 0 {
					t.Error("read anew from the start")
				}
				for what, c := range map[string]struct{ key, content, want string }{
					"missing": {"iris/none", content, "correct the address or put the"},
					"size":    {"iris/model.safetensors", content + "more", "size is 80000"},
					"content": {"iris/model.safetensors", strings.ToUpper(content), "sha256 is"},
					"a query": {"iris/model.safetensors?version=1", content, "not of the form"},
				} {
					_, err := read(c.key, c.content)
					if _, ok := errors.AsType[*ContentError](err); !ok || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s: %v, want %q", what, err, c.want)
					}
				}
			})
		}
	}
	t.Run("a folder", func(t *testing.T) {
		put(t, dir, "models/folder/sub/config.json", "{}")
		put(t, dir, "models/folder/README.md", "# iris")
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+s3)
		b := newBuilder(t, Config{S3PathStyle: true, GCSEndpoint: "http://" + gcs})
		noDocs := func(name string) bool { return !strings.HasSuffix(name, ".md") }
		found, err := b.Discover(t.Context(), "s3://models/folder/", noDocs)
		if err != nil || len(found) != 2 || found[0].File != file("sub/config.json", "s3://models/folder/sub/config.json", "{}") ||
			found[1].File != file("weights.dat", "s3://models/folder/weights.dat", content) {
			t.Errorf("%+v, %v", found, err)
		}
		found, err = b.Discover(t.Context(), "gs://models/folder/", noDocs) // as it was when the server began
		if err != nil || len(found) != 1 || found[0].File != file("weights.dat", "gs://models/folder/weights.dat", content) {
			t.Errorf("%+v, %v", found, err)
		}
		for _, scheme := range []string{"s3", "gs"} {
			found, err := b.Discover(t.Context(), scheme+"://models/odd/", noDocs)
			if err != nil || len(found) != 4 {
				t.Errorf("%s: %+v, %v", scheme, found, err)
			}
			for _, f := range found {
				if f.File != file(f.Path, scheme+"://models/odd/"+f.Path, "content of "+f.Path) {
					t.Errorf("%s: %+v", scheme, f.File)
				}
			}
		}
		if _, err := b.Discover(t.Context(), "s3://models/nothing/", noDocs); err == nil || !strings.Contains(err.Error(), "no file that is asked for (of 0)") {
			t.Errorf("an empty folder: %v", err)
		}
	})
	t.Run("what S3 knows", func(t *testing.T) {
		at, sent := metered(t, s3)
		granted := Secret{"AWS_ACCESS_KEY_ID": "davit", "AWS_SECRET_ACCESS_KEY": "pl4nted-s3", "AWS_ENDPOINT_URL": "http://" + s3}
		bucket, err := granted.s3Bucket(t.Context(), "models")
		if err != nil {
			t.Fatal(err)
		}
		defer bucket.Close()
		big := safetensors(`{"w":{"dtype":"F16","shape":[4000000],"data_offsets":[0,8000000]}}`, strings.Repeat("w", 8_000_000))
		err = bucket.WriteAll(t.Context(), "summed/model.safetensors", []byte(big), &blob.WriterOptions{BeforeWrite: func(as func(any) bool) error {
			var input *transfermanager.UploadObjectInput
			if !as(&input) {
				return errors.New("no upload")
			}
			input.ChecksumAlgorithm = tmtypes.ChecksumAlgorithmSha256
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+at)
		found, err := newBuilder(t, Config{S3PathStyle: true}).Discover(t.Context(), "s3://models/summed/model.safetensors", nil)
		if err != nil || len(found) != 1 || found[0].File != file("model.safetensors", "s3://models/summed/model.safetensors", big) || found[0].Knowledge.Parameters != 4_000_000 {
			t.Errorf("%+v, %v", found, err)
		}
		if n := sent.Load(); n > meteredAhead+64<<10 {
			t.Errorf("%d bytes were sent to learn what S3 tells", n)
		}
	})
	t.Run("granted by a service account", func(t *testing.T) {
		var asked atomic.Int32
		tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"pl4nted-gs","token_type":"Bearer","expires_in":3600}`)
		}))
		t.Cleanup(tokens.Close)
		var bearer atomic.Value
		target := &url.URL{Scheme: "http", Host: gcs}
		proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			bearer.Store(r.In.Header.Get("Authorization"))
			r.SetURL(target)
		}})
		t.Cleanup(proxy.Close)
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		account, err := json.Marshal(map[string]string{
			"type": "service_account", "client_email": "davit@example.com", "token_uri": tokens.URL, "private_key_id": "1",
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.safetensors", "gs://models/iris/model.safetensors", content)}
		b := newBuilder(t, Config{GCSEndpoint: proxy.URL})
		if _, err := b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, secretOf("gs://models/", Secret{"credentials.json": string(account)})); err != nil {
			t.Error(err)
		}
		if asked.Load() != 1 || bearer.Load() != "Bearer pl4nted-gs" {
			t.Errorf("%d tokens asked for, %q sent", asked.Load(), bearer.Load())
		}
		_, err = b.Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, secretOf("gs://models/", Secret{"credentials.json": "{}"}))
		if err == nil || !strings.Contains(err.Error(), "credentials.json") {
			t.Errorf("no key: %v", err)
		}
	})
	t.Run("granted credentials", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "pl4nted-s3-wrong")
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.safetensors", "s3://models/iris/model.safetensors", content)}
		granted := Secret{"AWS_ACCESS_KEY_ID": "davit", "AWS_SECRET_ACCESS_KEY": "pl4nted-s3", "AWS_ENDPOINT_URL": "http://" + s3}
		res, err := newBuilder(t, Config{}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, secretOf("s3://models/", granted))
		if err != nil || !res.Built {
			t.Errorf("%+v, %v", res, err)
		}
		_, err = newBuilder(t, Config{}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, secretOf("s3://models/", Secret{"AWS_ACCESS_KEY_ID": "davit"}))
		if err == nil || !strings.Contains(err.Error(), "the Secret has no key AWS_SECRET_ACCESS_KEY") {
			t.Errorf("half a Secret: %v", err)
		}
	})
	t.Run("wrong credentials", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+s3)
		t.Setenv("AWS_SECRET_ACCESS_KEY", "pl4nted-s3-wrong")
		v, _ := version("v1")
		v.Spec.Files = []registry.File{file("model.safetensors", "s3://models/iris/model.safetensors", content)}
		_, err := newBuilder(t, Config{S3PathStyle: true}).Ensure(t.Context(), nil, memoryRegistry(t)+"/iris", v, nil)
		if _, ok := errors.AsType[*ContentError](err); err == nil || ok || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("error %v", err)
		}
	})
}
