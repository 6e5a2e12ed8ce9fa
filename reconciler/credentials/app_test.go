package credentials_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/credentials"
)

// hub stands in for GitHub, which can't be run here: it checks a GitHub App's assertion as GitHub documents it and hands out
// tokens that expire. The repository beside it is the real git http-backend's, and asks for the newest token.
type hub struct {
	*httptest.Server
	public *rsa.PublicKey

	mu    sync.Mutex
	life  time.Duration
	asked int
	token string
	said  string // what was wrong with an assertion
}

const hubID, hubInstallation = "Iv23liExample", "4711"

func newHub(t *testing.T, public *rsa.PublicKey, dir string) *hub {
	t.Helper()
	exe, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(exe)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: io.Discard,
	}
	h := &hub{public: public, life: time.Hour}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v3/app/installations/{id}/access_tokens", h.tokens)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		h.mu.Lock()
		user, token, _ := req.BasicAuth()
		ok := user == "x-access-token" && token == h.token && token != ""
		h.mu.Unlock()
		if !ok {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	})
	h.Server = httptest.NewTLSServer(mux)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) tokens(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	claims := jwt.RegisteredClaims{}
	text, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	_, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return h.public, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(hubID), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err == nil && time.Until(claims.ExpiresAt.Time) > 10*time.Minute {
		err = fmt.Errorf("it expires more than ten minutes from now")
	}
	if err != nil {
		h.said = err.Error()
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"message": "A JSON web token could not be decoded: %s"}`, text)
		return
	}
	if req.PathValue("id") != hubInstallation {
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
		return
	}
	h.asked++
	h.token = fmt.Sprintf("ghs_planted%d", h.asked)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": h.token, "expires_at": time.Now().Add(h.life)})
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func (h *hub) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
}

func repository(t *testing.T) (dir, tip string) {
	t.Helper()
	dir = t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "-q", "-b", "main")
	run("commit", "-q", "--allow-empty", "-m", "one")
	return dir, run("rev-parse", "HEAD")
}

// TestGitHubApp: an App's key becomes tokens for Git, each used until shortly before it expires.
func TestGitHubApp(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	dir, tip := repository(t)
	h := newHub(t, &key.PublicKey, dir)
	h.life = time.Minute // less than must be left
	keys := credentials.Keys{
		"githubAppID": []byte(hubID + "\n"), "githubAppInstallationID": []byte(hubInstallation + "\n"), "githubAppPrivateKey": private, "ca.crt": h.ca(),
	}
	url := h.URL + "/.git"
	c := credentials.New(credentials.Config{URL: url, Keys: func(context.Context) (credentials.Keys, error) { return keys, nil }})
	source, err := gitops.Open(t.Context(), gitops.Config{URL: url, Mirror: t.TempDir(), Access: c.Access})
	if err != nil {
		t.Fatalf("%v; the stand-in says %q", err, h.said)
	}
	defer source.Close()
	if got, err := source.Tip(t.Context()); err != nil || got.String() != tip {
		t.Errorf("%s: %v", got, err)
	}
	before := h.count()
	h.mu.Lock()
	h.life = time.Hour
	h.mu.Unlock()
	for range 3 {
		if _, err := source.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if asked := h.count() - before; asked != 1 {
		t.Errorf("asked %d times for a token that holds an hour", asked)
	}
	if token, err := c.ForgeToken(t.Context()); err != nil || token != h.token {
		t.Errorf("the forge's token: %q %v", token, err)
	}
	refusedApps(t, url, keys)
}

// refusedApps are what people get wrong; each is told without the key, the assertion or a token.
func refusedApps(t *testing.T, url string, keys credentials.Keys) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ key, value, err string }{
		"another key":         {"githubAppPrivateKey", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(other)})), "do not go together"},
		"another App":         {"githubAppID", "1", "do not go together"},
		"no such one":         {"githubAppInstallationID", "1", "has no such installation"},
		"no number":           {"githubAppInstallationID", "../../user", "the number of its installation"},
		"no key":              {"githubAppPrivateKey", "pl4nted", "is not an RSA key in PEM"},
		"half of it":          {"githubAppID", "", "there is no key githubAppID"},
		"a password, too":     {"password", "pl4nted", "there is more than one of"},
		"another's authority": {"ca.crt", "pl4nted", "the certificate authority (ca.crt)"},
	} {
		wrong := credentials.Keys{}
		for k, v := range keys {
			wrong[k] = v
		}
		wrong[c.key] = []byte(c.value)
		_, err := credentials.New(credentials.Config{URL: url, Keys: func(context.Context) (credentials.Keys, error) { return wrong, nil }}).Access(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", what, err, c.err)
			continue
		}
		for _, secret := range []string{"pl4nted", "ghs_", "eyJ", "BEGIN"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q is in %v", what, secret, err)
			}
		}
	}
}
