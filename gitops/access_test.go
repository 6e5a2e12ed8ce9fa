package gitops

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a certificate authority of the test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.pem, _ = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a certificate and its key in PEM; the first one is the authority's own.
func (a *authority) issue(template *x509.Certificate) (cert, key []byte) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == nil {
		a.key = private
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// server is a TLS configuration for 127.0.0.1 and for a name that no resolver knows.
func (a *authority) server() *tls.Config {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"git.invalid"}}))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// guarded serves a repository with the real git http-backend, behind TLS, to requests with the wanted Authorization.
type guarded struct {
	*httptest.Server
	want atomic.Value // string
}

func serveTLS(t *testing.T, r *repo, config *tls.Config, want string) *guarded {
	t.Helper()
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	r.git("config", "http.receivepack", "true")
	r.git("config", "receive.denyCurrentBranch", "ignore")
	backend := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + r.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: io.Discard,
	}
	g := &guarded{}
	g.want.Store(want)
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if got := req.Header.Get("Authorization"); got != g.want.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "you sent "+got, http.StatusUnauthorized) // a server that quotes what it got
			return
		}
		backend.ServeHTTP(w, req)
	}))
	g.TLS, g.Config.ErrorLog = config, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	g.StartTLS()
	t.Cleanup(g.Close)
	return g
}

func basic(user, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization")
}

// fixed is an access that stays.
func fixed(a Access) func(context.Context) (Access, error) {
	return func(context.Context) (Access, error) { return a, nil }
}

// roundTrip fetches, writes an outcome, proposes, and claims a run.
func roundTrip(t *testing.T, r *repo, s *Source) {
	t.Helper()
	tip := r.commit("another", "a", r.clock.String())
	if got, err := s.Fetch(t.Context()); err != nil || got.String() != tip {
		t.Fatalf("fetched %s: %v", got, err)
	}
	n := s.NewNotes(davit, nil)
	n.Add(ParseHash(tip), healthy("production/iris", 1))
	if err := n.Flush(t.Context()); err != nil || len(r.noted("davit", tip)) != 1 {
		t.Errorf("an outcome: %v, %q", err, r.noted("davit", tip))
	}
	h, err := s.Propose(t.Context(), Proposal{Branch: "davit/x", Base: ParseHash(tip), Files: []FileChange{{Path: "a", Content: []byte("2")}}, Author: davit, Message: "x"})
	if err != nil || r.git("rev-parse", "davit/x") != h.String() {
		t.Errorf("a proposal: %v", err)
	}
	if err := s.DeleteBranch(t.Context(), "davit/x", h); err != nil {
		t.Error(err)
	}
}

// TestAccessHTTPS: an authority of one's own, with a password and with a bearer token; fetch and push.
func TestAccessHTTPS(t *testing.T) {
	ours := newAuthority(t, "ours")
	for what, c := range map[string]struct {
		access Access
		want   string
	}{
		"password": {Access{Username: "ada", Password: "pa:ss/word"}, basic("ada", "pa:ss/word")},
		"bearer":   {Access{Bearer: "tok-en"}, "Bearer tok-en"},
	} {
		r := newRepo(t)
		r.commit("one", "a", "1")
		srv := serveTLS(t, r, ours.server(), c.want)
		c.access.CA = ours.pem
		s := open(t, Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(c.access)})
		t.Log(what)
		roundTrip(t, r, s)
	}
}

// TestAccessRedirect: a host that sends davit on to another one, or to a port, does not have it take the credentials there.
func TestAccessRedirect(t *testing.T) {
	ours := newAuthority(t, "ours")
	for what, c := range map[string]struct {
		access Access
		want   string
	}{
		"password": {Access{Username: "ada", Password: "pl4nted"}, basic("ada", "pl4nted")},
		"bearer":   {Access{Bearer: "pl4nted"}, "Bearer pl4nted"},
	} {
		r := newRepo(t)
		r.commit("one", "a", "1")
		moved := serveTLS(t, r, ours.server(), "") // takes requests without credentials alone
		var sent atomic.Int64
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") == c.want {
				sent.Add(1)
			}
			http.Redirect(w, req, moved.URL+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		}))
		srv.TLS = ours.server()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c.access.CA = ours.pem
		t.Log(what)
		roundTrip(t, r, open(t, Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(c.access)}))
		if sent.Load() == 0 {
			t.Error("the host itself was not sent the credentials")
		}
	}
}

// TestAccessInClear: credentials that others can read on the way are told of, in the URL and elsewhere; a host that can't
// be had says nothing else.
func TestAccessInClear(t *testing.T) {
	password := fixed(Access{Username: "ada", Password: "pl4nted", Proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}})
	for _, c := range []struct {
		url    string
		access func(context.Context) (Access, error)
		told   bool
	}{
		{"http://git.invalid/models.git", password, true},
		{"https://git.invalid/models.git", password, false},
		{"http://127.0.0.1:1/models.git", password, false},
		{"http://git.invalid/models.git", fixed(Access{Proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}), false},
		{"http://ada:pl4nted@git.invalid/models.git", fixed(Access{Proxy: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}), true},
	} {
		var text bytes.Buffer
		_, err := Open(t.Context(), Config{URL: c.url, Branch: "main", Mirror: t.TempDir(), Access: c.access, Log: slog.New(slog.NewTextHandler(&text, nil))})
		if err == nil {
			t.Errorf("%s was opened", Redact(c.url))
		}
		if got := strings.Count(text.String(), "go over http"); got > 1 || got == 1 != c.told || strings.Contains(text.String(), "pl4nted") {
			t.Errorf("%s, told %v: %q", Redact(c.url), c.told, text.String())
		}
	}
}

// TestAccessOfTwoRemotes: two remotes that are followed at once, each with an authority that the other's client does not
// know, and the same password for neither.
func TestAccessOfTwoRemotes(t *testing.T) {
	var remotes []func() error
	for _, name := range []string{"one", "other"} {
		ca := newAuthority(t, name)
		r := newRepo(t)
		tip := r.commit(name, "a", name)
		srv := serveTLS(t, r, ca.server(), basic("ada", name))
		s := open(t, Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(Access{Username: "ada", Password: name, CA: ca.pem})})
		remotes = append(remotes, func() error {
			got, err := s.Fetch(t.Context())
			if err == nil && got.String() != tip {
				err = errors.New("the other's commit")
			}
			return err
		})
		strange := newAuthority(t, "strange")
		_, err := Open(t.Context(), Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(Access{Username: "ada", Password: name, CA: strange.pem})})
		if err == nil || !strings.Contains(err.Error(), "unknown authority; name its certificate authority (ca.crt)") {
			t.Errorf("another's authority: %v", err)
		}
	}
	var work sync.WaitGroup
	for range 10 {
		for _, fetch := range remotes {
			work.Go(func() {
				if err := fetch(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	work.Wait()
}

// TestAccessClientCertificate: a server that asks for a certificate of an authority of its own.
func TestAccessClientCertificate(t *testing.T) {
	ca := newAuthority(t, "both")
	r := newRepo(t)
	r.commit("one", "a", "1")
	config := ca.server()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	config.ClientCAs.AddCert(ca.cert)
	srv := serveTLS(t, r, config, "")
	access := Access{CA: ca.pem}
	_, err := Open(t.Context(), Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(access)})
	if err == nil || !strings.Contains(err.Error(), "tls.crt and tls.key") {
		t.Errorf("without a certificate: %v", err)
	}
	access.Certificate, access.Key = ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "davit"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	roundTrip(t, r, open(t, Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(access)}))
	access.Key = nil
	_, err = Open(t.Context(), Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(access)})
	if err == nil || !strings.Contains(err.Error(), "the client certificate (tls.crt and tls.key, both in PEM)") {
		t.Errorf("without its key: %v", err)
	}
}

// forward is a proxy that asks for a password and lets everything through to one address.
func forward(t *testing.T, authorization, to string) (address *url.URL, ways *atomic.Int64) {
	t.Helper()
	ways = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != authorization {
			w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
			http.Error(w, "no", http.StatusProxyAuthRequired)
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		ways.Add(1)
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(out, in)
			out.Close()
		}()
		_, _ = io.Copy(in, out)
		in.Close()
	}))
	t.Cleanup(srv.Close)
	address, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address, ways
}

// TestAccessProxy: the name of the remote is one that only the proxy knows, and the proxy asks for a password.
func TestAccessProxy(t *testing.T) {
	ca := newAuthority(t, "ours")
	r := newRepo(t)
	r.commit("one", "a", "1")
	srv := serveTLS(t, r, ca.server(), basic("ada", "pl4nted-git"))
	proxy, ways := forward(t, basic("through", "sesame"), srv.Listener.Addr().String())
	access := Access{Username: "ada", Password: "pl4nted-git", CA: ca.pem, Proxy: proxy}
	const address = "https://git.invalid/.git"
	_, err := Open(t.Context(), Config{URL: address, Mirror: t.TempDir(), Access: fixed(access)})
	if err == nil || !strings.Contains(err.Error(), "check the proxy's username and password") {
		t.Errorf("without a password: %v", err)
	}
	with := *proxy
	with.User = url.UserPassword("through", "sesame")
	access.Proxy = &with
	s := open(t, Config{URL: address, Mirror: t.TempDir(), Access: fixed(access)})
	roundTrip(t, r, s)
	before := ways.Load()
	if before == 0 {
		t.Error("not through the proxy")
	}
	m := s.mirror
	m.reach.http.CloseIdleConnections()
	if err := m.porcelain(t.Context(), "main", nil); err != nil || ways.Load() == before {
		t.Errorf("go-git's own Fetch: %v, through the proxy %d times", err, ways.Load()-before)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://git.invalid/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: s.HTTP()}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s: what is asked beside the repository has its credentials", res.Status)
	}
}

// TestAccessLFS: the repository's credentials go with what asks its LFS server, and nowhere else.
func TestAccessLFS(t *testing.T) {
	ca := newAuthority(t, "ours")
	r := newRepo(t)
	tip := r.commit("one", "a", "1")
	srv := serveTLS(t, r, ca.server(), "Bearer tok-en")
	s := open(t, Config{URL: srv.URL + "/.git", Mirror: t.TempDir(), Access: fixed(Access{Bearer: "tok-en", CA: ca.pem})})
	var got string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { got = req.Header.Get("Authorization") }))
	t.Cleanup(elsewhere.Close)
	snap := snapshot(t, s, tip)
	server, _, err := snap.LFS()
	if err != nil || server.User != nil {
		t.Fatalf("%v %v", server, err)
	}
	client := &http.Client{Transport: snap.LFSTransport(http.DefaultTransport)}
	post := func(address string) *http.Response {
		res, err := client.Post(address, "", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	if res := post(server.JoinPath("objects/batch").String()); res.StatusCode == http.StatusUnauthorized {
		t.Error("the LFS server was asked without credentials")
	}
	if res := post(srv.URL + "/elsewhere"); res.StatusCode != http.StatusUnauthorized {
		t.Error("credentials went with something else")
	}
	if post(elsewhere.URL + "/objects/batch"); got != "" {
		t.Errorf("another server got %q", got)
	}
}

// TestAccessRotates: a password is changed at the server, then in what Access answers; Watch goes on after Notify. None of
// the passwords comes into the log or an error, although the server quotes them.
func TestAccessRotates(t *testing.T) {
	ca := newAuthority(t, "ours")
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	srv := serveTLS(t, r, ca.server(), basic("ada", "pl4nted-git-old"))
	var access atomic.Value
	access.Store(Access{Username: "ada", Password: "pl4nted-git-old", CA: ca.pem})
	var log bytes.Buffer
	var mu sync.Mutex
	checked := make(chan error, 100)
	s := open(t, Config{
		URL: srv.URL + "/.git", Mirror: t.TempDir(), Interval: 50 * time.Millisecond, Log: logTo(&log, &mu), Reached: func(err error) { checked <- err },
		Access: func(context.Context) (Access, error) {
			a := access.Load().(Access)
			if a.Password == "" {
				return a, errors.New("the Secret is gone")
			}
			return a, nil
		},
	})
	tips := watch(t, s)
	await(t, tips, first)
	until := func(what string, ok func(error) bool) error {
		t.Helper()
		for deadline := time.After(2 * time.Minute); ; {
			select {
			case err := <-checked:
				if ok(err) {
					return err
				}
			case <-deadline:
				t.Fatalf("not %s within two minutes", what)
			}
		}
	}
	srv.want.Store(basic("ada", "pl4nted-git-new"))
	err := until("refused", func(err error) bool { return err != nil })
	if !strings.Contains(err.Error(), "check the credentials of the repository") {
		t.Error(err)
	}
	access.Store(Access{})
	s.Notify()
	until("without access", func(err error) bool { return err != nil && strings.Contains(err.Error(), "the Secret is gone") })
	second := r.commit("two", "a", "2")
	access.Store(Access{Username: "ada", Password: "pl4nted-git-new", CA: ca.pem})
	s.Notify()
	await(t, tips, second)
	until("followed again", func(err error) bool { return err == nil })
	mu.Lock()
	defer mu.Unlock()
	for _, text := range []string{log.String(), err.Error()} {
		for _, secret := range []string{"pl4nted-git-old", "pl4nted-git-new", strings.TrimPrefix(basic("ada", "pl4nted-git-old"), "Basic "), strings.TrimPrefix(basic("ada", "pl4nted-git-new"), "Basic ")} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %q", secret, text)
			}
		}
	}
}

// TestAccessIsNoOutage: a mirror that is there is not served in silence when davit is not let in any more.
func TestAccessIsNoOutage(t *testing.T) {
	ca := newAuthority(t, "ours")
	r := newRepo(t)
	r.commit("one", "a", "1")
	srv := serveTLS(t, r, ca.server(), basic("ada", "pl4nted-git"))
	mirror := t.TempDir()
	open(t, Config{URL: srv.URL + "/.git", Branch: "main", Mirror: mirror, Access: fixed(Access{Username: "ada", Password: "pl4nted-git", CA: ca.pem})})
	for what, ask := range map[string]func(context.Context) (Access, error){
		"another authority": fixed(Access{Username: "ada", Password: "pl4nted-git", CA: newAuthority(t, "other").pem}),
		"no authority":      fixed(Access{Username: "ada", Password: "pl4nted-git", CA: []byte("none")}),
		"another password":  fixed(Access{Username: "ada", Password: "other", CA: ca.pem}),
		"no answer":         func(context.Context) (Access, error) { return Access{}, errors.New("there is no Secret") },
	} {
		if s, err := Open(t.Context(), Config{URL: srv.URL + "/.git", Branch: "main", Mirror: mirror, Access: ask}); err == nil {
			s.Close()
			t.Errorf("%s: opened", what)
		}
	}
	srv.Close()
	s, err := Open(t.Context(), Config{URL: srv.URL + "/.git", Branch: "main", Mirror: mirror, Access: fixed(Access{Username: "ada", Password: "pl4nted-git", CA: ca.pem})})
	if err != nil {
		t.Fatalf("an outage: %v", err)
	}
	s.Close()
}
