package main

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
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
)

// mounted is a folder as kubelet mounts a Secret: the files are symlinks into ..data, itself a symlink that is replaced.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) put(files map[string]string) {
	m.t.Helper()
	m.n++
	version := filepath.Join(m.dir, "..v"+string(rune('0'+m.n)))
	if err := os.Mkdir(version, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(version, name), []byte(content), 0o600); err != nil {
			m.t.Fatal(err)
		}
		link := filepath.Join(m.dir, name)
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	next := filepath.Join(m.dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
}

// selfSigned is a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within two minutes", what)
		}
	}
}

// TestWebhookCertificate: webhooks come over https, and a certificate that is replaced is the next connection's. A pair
// that does not fit leaves the one before.
func TestWebhookCertificate(t *testing.T) {
	secret := &mounted{t: t, dir: t.TempDir()}
	cert, key := selfSigned(t, "first")
	secret.put(map[string]string{"tls.crt": cert, "tls.key": key})
	var text logText
	log := slog.New(slog.NewTextHandler(&text, nil))
	h := &hooks{handlers: map[string]http.Handler{}}
	defer h.add("models", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))()
	config, over, err := overTLS(t.Context(), "webhook", filepath.Join(secret.dir, "tls.crt"), filepath.Join(secret.dir, "tls.key"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer over()
	h.tls = config
	stop, err := h.serve(t.Context(), "127.0.0.1:0", log)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(text.String())
	// served says whether a delivery arrives over a connection that only this certificate makes.
	served := func(cert string) bool {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(cert))
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
		res, err := client.Post("https://"+address+"/hooks/models", "", nil)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusNoContent
	}
	if !served(cert) {
		t.Fatal("not served with the first certificate")
	}
	next, nextKey := selfSigned(t, "second")
	secret.put(map[string]string{"tls.crt": next, "tls.key": nextKey})
	soon(t, "served with the second certificate", func() bool { return served(next) })
	if served(cert) {
		t.Error("served with the first certificate still")
	}
	secret.put(map[string]string{"tls.crt": cert, "tls.key": nextKey})
	soon(t, "told that the pair does not fit", func() bool { return strings.Contains(text.String(), "a certificate stays as it was") })
	if !served(next) {
		t.Error("a pair that does not fit took the certificate away")
	}
	if _, _, err := overTLS(t.Context(), "webhook", filepath.Join(secret.dir, "tls.crt"), "", log); err == nil || !strings.Contains(err.Error(), "go together") {
		t.Errorf("a certificate without a key: %v", err)
	}
}

// TestGitCredentialsFolder: the repository of davit sync --repo is opened by a mounted Secret; when that is replaced, the
// repository is looked at again at once, although it would be in an hour.
func TestGitCredentialsFolder(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("commit", "-q", "--allow-empty", "-m", "one")
	backend := &cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	var want atomic.Value
	want.Store("Bearer pl4nted-git-one")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != want.Load() {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := &mounted{t: t, dir: t.TempDir()}
	secret.put(map[string]string{"bearerToken": "pl4nted-git-one\n"})
	o := &gitOptions{folder: secret.dir, ca: ca}
	checked := make(chan error, 100)
	cfg := gitops.Config{
		URL: server.URL + "/.git", Mirror: t.TempDir(), Interval: time.Hour, Log: slog.New(slog.DiscardHandler),
		Reached: func(err error) { checked <- err },
	}
	if err := o.apply(cfg.URL, &cfg); err != nil {
		t.Fatal(err)
	}
	source, err := gitops.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	stop := o.follow(t.Context(), source)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	tips := make(chan string, 100)
	var watching sync.WaitGroup
	watching.Go(func() { _ = source.Watch(ctx, func(h gitops.Hash) { tips <- h.String() }) })
	defer watching.Wait()
	defer cancel()
	<-tips
	want.Store("Bearer pl4nted-git-two")
	git("commit", "-q", "--allow-empty", "-m", "two")
	secret.put(map[string]string{"bearerToken": "pl4nted-git-wrong"})
	select {
	case err := <-checked:
		if err == nil || !strings.Contains(err.Error(), "check the credentials") {
			t.Errorf("with a wrong token: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the changed folder was not heeded")
	}
	secret.put(map[string]string{"bearerToken": "pl4nted-git-two"})
	select {
	case tip := <-tips:
		if tip != git("rev-parse", "HEAD") {
			t.Errorf("followed %s", tip)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("not followed with the new token")
	}
	if err := o.apply("/srv/models", &cfg); err == nil || !strings.Contains(err.Error(), "are for the URL of --repo") {
		t.Errorf("for a folder: %v", err)
	}
}
