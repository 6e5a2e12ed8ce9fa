package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
)

// TestAccessBySecret pushes to an OCI registry with a certificate authority of its own that asks for a password; a changed
// Secret counts with the next request of the same Builder.
func TestAccessBySecret(t *testing.T) {
	inner := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	var right atomic.Value
	right.Store("first")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != right.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := func(of, password string) []byte {
		auth := base64.StdEncoding.EncodeToString([]byte("ada:" + password))
		return fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, of, auth)
	}
	var secret atomic.Value
	secret.Store(RegistryAccess{})
	b, err := newBuilder(t, Config{}).With(func(context.Context) (RegistryAccess, error) { return secret.Load().(RegistryAccess), nil })
	if err != nil {
		t.Fatal(err)
	}
	v, fsys := version("v1", "model.bin=weights")
	for _, c := range []struct {
		access RegistryAccess
		want   string
	}{
		{RegistryAccess{}, "certificate"},
		{RegistryAccess{"ca.crt": []byte("none")}, "ca.crt holds no certificate in PEM"},
		{RegistryAccess{"ca.crt": authority}, "401"},
		{RegistryAccess{"ca.crt": authority, ".dockerconfigjson": config(host, "pl4nted-oci")}, "401"},
		{RegistryAccess{"ca.crt": authority, ".dockerconfigjson": config(host+"/others", "first")}, "401"},
		{RegistryAccess{"ca.crt": authority, ".dockerconfigjson": []byte("pl4nted-oci")}, ".dockerconfigjson is not Docker's config.json"},
	} {
		secret.Store(c.access)
		_, err := b.Ensure(t.Context(), fsys, host+"/models/iris", v, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
	secret.Store(RegistryAccess{"ca.crt": authority, ".dockerconfigjson": config("https://"+host+"/v2/", "first")})
	if res := ensure(t, b, fsys, host+"/models/iris", v); !res.Built {
		t.Errorf("result %+v", res)
	}
	right.Store("second")
	secret.Store(RegistryAccess{"ca.crt": authority, ".dockerconfigjson": config(host+"/models", "second")})
	next, fsys := version("v2", "model.bin=other weights")
	if res := ensure(t, b, fsys, host+"/models/iris", next); !res.Built {
		t.Errorf("result %+v", res)
	}
}

// to sends every request to a test's server, whatever its host.
type to struct{ server *httptest.Server }

func (t to) RoundTrip(req *http.Request) (*http.Response, error) {
	at, err := url.Parse(t.server.URL)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("X-Was", req.URL.String())
	req.URL.Scheme, req.URL.Host = at.Scheme, at.Host
	return http.DefaultTransport.RoundTrip(req)
}

// TestECR and TestACR ask small servers that check what the services check of a request: address, action, form, and who
// signed it for which service and region. Nobody here could check a signature against a real account.
func TestECR(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		scope := "Credential=AKIDTEST/" + time.Now().UTC().Format("20060102") + "/eu-central-1/ecr/aws4_request"
		if r.Header.Get("X-Was") != "https://api.ecr.eu-central-1.amazonaws.com/" || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken") ||
			!strings.Contains(r.Header.Get("Authorization"), scope) || r.Header.Get("X-Amz-Security-Token") != "session" {
			http.Error(w, "not signed so", http.StatusForbidden)
			return
		}
		token := base64.StdEncoding.EncodeToString([]byte("AWS:password"))
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5}]}`, token, time.Now().Add(12*time.Hour).Unix())
	}))
	t.Cleanup(server.Close)
	i := &identities{client: &http.Client{Transport: to{server}}, aws: func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "secret", SessionToken: "session"}, nil
	}}
	for range 2 { // the second time from what is known
		auth, err := i.credentials(t.Context(), repository(t, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/models/iris"))
		if err != nil || auth.Username != "AWS" || auth.Password != "password" {
			t.Fatalf("%+v, %v", auth, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	_, err := i.credentials(t.Context(), repository(t, "123456789012.dkr.ecr.us-east-1.amazonaws.com/models/iris"))
	if err == nil || !strings.Contains(err.Error(), "by workload identity: ecr:GetAuthorizationToken: 403 Forbidden: not signed so") {
		t.Errorf("another region: %v", err)
	}
}

func TestACR(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Was") != "https://models.azurecr.io/oauth2/exchange" || r.FormValue("grant_type") != "access_token" ||
			r.FormValue("service") != "models.azurecr.io" || r.FormValue("access_token") != "of "+acrScope {
			http.Error(w, "no such exchange", http.StatusUnauthorized)
			return
		}
		claims, _ := json.Marshal(map[string]int64{"exp": time.Now().Add(3 * time.Hour).Unix()})
		fmt.Fprintf(w, `{"refresh_token":"h.%s.s"}`, base64.RawURLEncoding.EncodeToString(claims))
	}))
	t.Cleanup(server.Close)
	i := &identities{client: &http.Client{Transport: to{server}}, azure: func(_ context.Context, scope string) (string, error) { return "of " + scope, nil }}
	auth, err := i.credentials(t.Context(), repository(t, "models.azurecr.io/iris"))
	if err != nil || !strings.HasPrefix(auth.IdentityToken, "h.") {
		t.Fatalf("%+v, %v", auth, err)
	}
	if left := time.Until(i.tokens["models.azurecr.io"].ends); left < 2*time.Hour || left > 3*time.Hour {
		t.Errorf("kept for %s", left)
	}
	if auth, err := i.credentials(t.Context(), repository(t, "oci.example.com/iris")); err != nil || auth.IdentityToken != "" {
		t.Errorf("elsewhere: %+v, %v", auth, err)
	}
}

// TestNoIdentity: a process without an identity is anonymous, and that is told once for each registry, with the reason.
func TestNoIdentity(t *testing.T) {
	var said strings.Builder
	none := errors.New("no instance\nmetadata")
	i := &identities{
		log:   slog.New(slog.NewTextHandler(&said, nil)),
		aws:   func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, none },
		azure: func(context.Context, string) (string, error) { return "", none },
	}
	hosts := []string{"123456789012.dkr.ecr.eu-central-1.amazonaws.com", "models.azurecr.io"}
	for range 2 {
		for _, host := range hosts {
			auth, err := i.credentials(t.Context(), repository(t, host+"/models/iris"))
			if err != nil || auth.Username+auth.Password+auth.IdentityToken != "" {
				t.Errorf("%s: %+v, %v", host, auth, err)
			}
		}
	}
	for _, host := range hosts {
		if line := `asked anonymously; give the process a workload identity there, or name a Secret in images.secret" registry=` + host + ` error="the process has no identity there: no instance metadata"`; strings.Count(said.String(), line) != 1 {
			t.Errorf("%s: said %q", host, said.String())
		}
	}
}

func repository(t *testing.T, text string) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(text)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}
