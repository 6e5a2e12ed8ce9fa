package chaos_test

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// front stands on loopback before the API server, the Git server and the OCI registry, and lets everything pass. It sees the
// moments at which a process can be killed: before a request has come to its server, while it is on its way, and after the server
// has done it, before the process knows.
type front struct {
	api, git, oci *httptest.Server

	mu   sync.Mutex
	look func(request) *stop // asked of each request; nil asks nobody
	aim  func() (kill func())
	seen func(request) // told of each request first
}

// request is one that a davit sent, in words: "push refs/notes/davit", "PUT modelreleases/status".
type request struct {
	words string
	body  []byte // of a write to the API server
}

// stop is where a process ends, of a request's way.
type stop int

const (
	before stop = iota // the server never sees it
	within             // half of its body has come to the server
	after              // the server has answered, and nobody heard
)

// newFront serves dir by the real git http-backend.
func newFront(t *testing.T, kubeconfig, registry, dir string) *front {
	t.Helper()
	f := &front{}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	apiServer, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // connections of the killed
	pass := func(to *url.URL, by http.RoundTripper) http.Handler {
		p := httputil.NewSingleHostReverseProxy(to)
		p.Transport, p.FlushInterval, p.ErrorLog = by, -1, quiet
		return p
	}
	serve := func(name func(*http.Request) request, to http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(f.before(name, to))
		s.Config.ErrorLog = quiet
		s.Start()
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		return s
	}
	f.api = serve(apiRequest, pass(apiServer, transport))
	f.oci = serve(ociRequest, pass(&url.URL{Scheme: "http", Host: registry}, http.DefaultTransport.(*http.Transport).Clone()))
	f.git = serve(gitRequest, &cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	return f
}

// before asks at each request whether the process ends there.
func (f *front) before(name func(*http.Request) request, to http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		r := name(req)
		f.seen(r)
		at, kill := f.ends(r)
		switch {
		case at == nil:
			to.ServeHTTP(rw, req)
			return
		case *at == within:
			req.Body = io.NopCloser(io.MultiReader(io.LimitReader(req.Body, req.ContentLength/2), &cut{kill}))
			to.ServeHTTP(rw, req)
			return
		case *at == after:
			answer := httptest.NewRecorder()
			if to.ServeHTTP(answer, req); answer.Code >= 400 { // the server did not do it
				maps.Copy(rw.Header(), answer.Header())
				rw.WriteHeader(answer.Code)
				_, _ = answer.Body.WriteTo(rw)
				return
			}
		}
		kill()
		panic(http.ErrAbortHandler)
	})
}

// ends says where the process that runs now ends; nil for nowhere.
func (f *front) ends(r request) (at *stop, kill func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.look == nil {
		return nil, nil
	}
	return f.look(r), f.aim()
}

// cut kills who sends where a reader comes to it.
type cut struct{ kill func() }

func (c *cut) Read([]byte) (int, error) {
	c.kill()
	return 0, io.ErrUnexpectedEOF
}

// at has look asked from now on; it gives where the process ends, nil for nowhere.
func (f *front) at(look func(request) *stop) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look = look
}

// read takes a body and leaves it to be read again.
func read(req *http.Request) []byte {
	data, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(bytes.NewReader(data))
	return data
}

func apiRequest(req *http.Request) (r request) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	for i, p := range parts {
		if p == "namespaces" && i+2 < len(parts) {
			parts = parts[i+2:]
			break
		}
	}
	r.words = req.Method + " " + parts[0]
	if len(parts) > 2 && parts[0] != "apis" && parts[0] != "api" {
		r.words += "/" + parts[2] // a subresource
	}
	if req.Method != http.MethodGet {
		r.body = read(req)
	}
	return r
}

var upload = regexp.MustCompile(`/blobs/uploads/[^/]+$`)

func ociRequest(req *http.Request) request {
	switch path := req.URL.Path; {
	case strings.Contains(path, "/manifests/sha256:"):
		return request{words: req.Method + " manifest"}
	case strings.Contains(path, "/manifests/"):
		return request{words: req.Method + " tag"}
	case upload.MatchString(path), strings.HasSuffix(path, "/blobs/uploads/"):
		return request{words: req.Method + " upload"}
	}
	return request{words: req.Method + " blob"}
}

func gitRequest(req *http.Request) request {
	switch {
	case strings.HasSuffix(req.URL.Path, "/git-upload-pack"):
		return request{words: "fetch"}
	case !strings.HasSuffix(req.URL.Path, "/git-receive-pack"):
		return request{words: "refs"}
	}
	words := "push"
	for body := string(read(req)); len(body) > 4; { // a pkt-line for each ref, until an empty one
		n, err := strconv.ParseUint(body[:4], 16, 16)
		if err != nil || n < 4 || int(n) > len(body) {
			break
		}
		line, _, _ := strings.Cut(body[4:n], "\x00")
		words += " " + line[strings.LastIndexByte(line, ' ')+1:]
		body = body[n:]
	}
	return request{words: words}
}
