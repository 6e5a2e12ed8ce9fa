package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// RegistryAccess is how OCI registries are reached, as a Secret has it by the keys below.
type RegistryAccess map[string][]byte

// The keys of a RegistryAccess.
const (
	dockerConfigKey = ".dockerconfigjson" // Docker's own file: the Secret is of type kubernetes.io/dockerconfigjson
	authorityKey    = "ca.crt"            // certificates in PEM that are trusted beside the system's
)

// With is a Builder that reaches OCI registries by what access gives each time it is asked, so that a changed Secret counts
// with the next request; nobody's docker config does. A registry that it does not name is reached by the cloud's identity,
// or anonymously. access keeps what it read for a while, and is called concurrently. The jobs are shared with b, and nothing else
// that was learned: what one may see is no other's.
func (b *Builder) With(access func(context.Context) (RegistryAccess, error)) (*Builder, error) {
	cfg := b.cfg
	cfg.Transport = &trusting{access: access, base: b.cfg.Transport}
	cfg.Keychain = &named{access, &identities{log: cfg.Log}}
	other, err := New(cfg)
	if err == nil {
		other.jobs = b.jobs
	}
	return other, err
}

// named are the credentials of a Secret by the name of the registry, the cloud's for those it does not name.
type named struct {
	access func(context.Context) (RegistryAccess, error)
	cloud  *identities
}

// Resolve gives an authenticator that looks when it is asked: go-containerregistry keeps it for as long as a client.
func (k *named) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return &latest{k, target}, nil
}

type latest struct {
	*named
	target authn.Resource
}

func (l *latest) Authorization() (*authn.AuthConfig, error) {
	return l.AuthorizationContext(context.Background()) // what go-containerregistry calls has a context
}

// AuthorizationContext is [authn.ContextAuthenticator].
func (l *latest) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	access, err := l.access(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", l.target.RegistryStr(), err)
	}
	found, ok, err := access.credentials(l.target)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", l.target.RegistryStr(), err)
	}
	if !ok {
		return l.cloud.credentials(ctx, l.target)
	}
	return found, nil
}

// credentials are those of the longest name that fits, as kubelets choose: "host/path" goes before "host".
func (a RegistryAccess) credentials(target authn.Resource) (*authn.AuthConfig, bool, error) {
	text, ok := a[dockerConfigKey]
	if !ok {
		return nil, false, nil
	}
	var file struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	if json.Unmarshal(text, &file) != nil { // the error could quote it
		return nil, false, errors.New(dockerConfigKey + " is not Docker's config.json; make it by kubectl create secret docker-registry")
	}
	best, length := authn.AuthConfig{}, 0
	for _, key := range slices.Sorted(maps.Keys(file.Auths)) { // of two that fit alike, the same each time
		auth := file.Auths[key]
		name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://"), "/")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "/v1"), "/v2")
		if (target.String()+"/" == name+"/" || strings.HasPrefix(target.String()+"/", name+"/") || docker(name, target)) && len(name) >= length {
			best, length = auth, len(name)
		}
	}
	if length == 0 {
		return nil, false, nil
	}
	if best.Auth != "" && best.Username == "" {
		plain, err := base64.StdEncoding.DecodeString(best.Auth)
		user, password, found := strings.Cut(string(plain), ":")
		if err != nil || !found {
			return nil, false, errors.New("auth in " + dockerConfigKey + " is not base64 of user:password")
		}
		best.Username, best.Password, best.Auth = user, password, ""
	}
	return &best, true, nil
}

// docker says whether a name is one of those that Docker Hub has.
func docker(name string, target authn.Resource) bool {
	return target.RegistryStr() == "index.docker.io" && (name == "docker.io" || name == "index.docker.io")
}

// trusting is a transport that trusts the certificates of a Secret beside the system's.
type trusting struct {
	access func(context.Context) (RegistryAccess, error)
	base   http.RoundTripper

	mu      sync.Mutex
	of      [sha256.Size]byte
	current *http.Transport
}

func (t *trusting) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := t.transport(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := to.RoundTrip(req)
	if err != nil || resp.StatusCode < http.StatusBadRequest {
		return resp, err
	}
	return unquoted(req, resp)
}

// mostRefusal bounds what is read of a refusal; go-containerregistry puts it into its errors.
const mostRefusal = 64 << 10

// unquoted is a refusal without the credentials that it may quote.
func unquoted(req *http.Request, resp *http.Response) (*http.Response, error) {
	_, sent, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	_, password, _ := req.BasicAuth()
	if sent == "" || req.Method == http.MethodHead {
		return resp, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostRefusal))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	for _, secret := range []string{sent, password} {
		if secret != "" {
			text = bytes.ReplaceAll(text, []byte(secret), []byte("REDACTED"))
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return resp, nil
}

func (t *trusting) transport(ctx context.Context) (http.RoundTripper, error) {
	access, err := t.access(ctx)
	if err != nil {
		return nil, err
	}
	pem := access[authorityKey]
	if len(pem) == 0 {
		return t.base, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if sum := sha256.Sum256(pem); t.current == nil || t.of != sum {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New(authorityKey + " holds no certificate in PEM")
		}
		plain, ok := t.base.(*http.Transport)
		if !ok {
			plain = remote.DefaultTransport.(*http.Transport)
		}
		if t.current != nil {
			t.current.CloseIdleConnections()
		}
		t.current, t.of = plain.Clone(), sum
		t.current.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t.current, nil
}
