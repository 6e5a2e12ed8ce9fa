package image

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/davit-dev/davit/deploy/devcluster"
)

const tokenService = "oci.example.com"

// tokens hands out what an OCI registry takes, to whoever has the password of ada
// (https://distribution.github.io/distribution/spec/auth/token/).
type tokens struct {
	*httptest.Server
	password atomic.Value // string
	given    atomic.Int64
	cert     []byte // PEM
}

func serveTokens(t *testing.T, password string) *tokens {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tokens"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &tokens{cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	s.password.Store(password)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "ada" || password != s.password.Load() {
			http.Error(w, "you sent "+password, http.StatusUnauthorized)
			return
		}
		var access []map[string]any
		for _, scope := range r.URL.Query()["scope"] {
			parts := strings.Split(scope, ":")
			access = append(access, map[string]any{"type": parts[0], "name": parts[1], "actions": strings.Split(parts[2], ",")})
		}
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "tokens", "aud": r.FormValue("service"), "sub": user, "access": access,
			"nbf": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		})
		token.Header["x5c"] = [][]byte{der}
		signed, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		s.given.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]string{"token": signed})
	}))
	t.Cleanup(s.Close)
	return s
}

// runDistribution starts the real OCI registry, which takes the tokens of s alone, and returns its host:port.
func runDistribution(t *testing.T, s *tokens) string {
	t.Helper()
	binaries, err := devcluster.Build(t.Context(), os.Stderr, devcluster.PartRegistry)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address, err := devcluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	realm := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // go-containerregistry takes no private address from a registry
	config, err := json.Marshal(map[string]any{
		"version": "0.1", "log": map[string]any{"level": "error", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": filepath.Join(dir, "blobs")}},
		"http":    map[string]any{"addr": address, "secret": "test"},
		"auth":    map[string]any{"token": map[string]any{"realm": realm, "service": tokenService, "issuer": "tokens", "rootcertbundle": filepath.Join(dir, "cert.pem")}},
	})
	for name, data := range map[string][]byte{"config.yaml": config, "cert.pem": s.cert} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binaries["registry"], "serve", filepath.Join(dir, "config.yaml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Fatalf("the registry asks for no token: %s", resp.Status)
			}
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry does not answer: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestAccessByToken pushes to the real OCI registry, which takes tokens that another server gives for a password.
func TestAccessByToken(t *testing.T) {
	s := serveTokens(t, "pl4nted-one")
	host := runDistribution(t, s)
	var password atomic.Value
	password.Store("pl4nted-wrong")
	b, err := newBuilder(t, Config{}).With(func(context.Context) (RegistryAccess, error) {
		return RegistryAccess{".dockerconfigjson": fmt.Appendf(nil, `{"auths": {%q: {"username": "ada", "password": %q}}}`, host, password.Load())}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	v, fsys := version("v1", "model.bin=weights")
	if _, err := b.Ensure(t.Context(), fsys, host+"/models/iris", v, nil); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("a wrong password: %v", err)
	}
	password.Store("pl4nted-one")
	if res := ensure(t, b, fsys, host+"/models/iris", v); !res.Built || s.given.Load() == 0 {
		t.Errorf("result %+v after %d tokens", res, s.given.Load())
	}
	s.password.Store("pl4nted-two")
	password.Store("pl4nted-two")
	next, fsys := version("v2", "model.bin=other weights")
	if res := ensure(t, b, fsys, host+"/models/iris", next); !res.Built {
		t.Errorf("result %+v", res)
	}
}
