package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/reconciler/fleet"
)

// provider is an OpenID provider that logs everybody in at once, as whoever its claims say. It checks what a real one does:
// the client, its secret, the redirect, and PKCE.
type provider struct {
	*httptest.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	claims map[string]any
	page   string                // the redirect that it allows
	asked  map[string]url.Values // by code
}

func newProvider(t *testing.T) *provider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("client_id") != "davit" || q.Get("redirect_uri") != p.page+"/-/callback" || q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" {
			http.Error(w, "refused", http.StatusBadRequest)
			return
		}
		code := random()
		p.asked[code] = q
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	asked := p.asked[r.FormValue("code")]
	delete(p.asked, r.FormValue("code"))
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if asked == nil || id != "davit" || secret != "pl4nted-oidc" || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
		writeJSON(w, 400, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{"iss": p.URL, "aud": "davit", "sub": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "nonce": asked.Get("nonce")}
	for k, v := range p.claims {
		claims[k] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Error(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		p.t.Error(err)
	}
	raw, _ := signed.CompactSerialize()
	writeJSON(w, 200, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": raw})
}

// TestLogin: whoever looks at a page is led to the provider and back to that page; who they are is what the provider's token
// says, and what they may do what Kubernetes allows by that name. A token that is not for this login, not verified or of
// Kubernetes' own names logs nobody in.
func TestLogin(t *testing.T) {
	p := newProvider(t)
	var who *User
	rights := func(_ context.Context, u *User, _, _, _, _ string) (bool, error) {
		who = u
		return true, nil
	}
	server := httptest.NewUnstartedServer(nil)
	p.page = "http://localhost:" + server.Listener.Addr().String()[strings.LastIndex(server.Listener.Addr().String(), ":")+1:]
	access, err := NewOIDCAccess(OIDCConfig{
		Issuer: p.URL, ClientID: "davit", ClientSecret: "pl4nted-oidc", URL: p.page, Rights: rights, GroupsPrefix: "oidc:",
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := New(Config{Fleet: fleet.New(fleet.Config{}), Access: access})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = planted.Answers(page, func(r *http.Request, word string) { t.Errorf("%s answers %s", r.URL, word) })
	server.Start()
	defer server.Close()
	get := func(c *http.Client, path string) (*http.Response, string) {
		res, err := c.Get(p.page + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body strings.Builder
		buf := make([]byte, 1<<16)
		for {
			n, err := res.Body.Read(buf)
			body.Write(buf[:n])
			if err != nil {
				return res, body.String()
			}
		}
	}
	browser := func() *http.Client {
		jar, _ := cookiejar.New(nil)
		return &http.Client{Jar: &secureJar{jar}}
	}

	p.claims = map[string]any{"email": "ada@example.com", "email_verified": true, "groups": []string{"ml", "system:masters"}}
	c := browser()
	res, body := get(c, "/?q=x")
	if res.StatusCode != 200 || res.Request.URL.RequestURI() != "/?q=x" || !strings.Contains(body, "ada@example.com") {
		t.Errorf("after the login %d at %s:\n%s", res.StatusCode, res.Request.URL, body)
	}
	u, err := access.User(requestWith(c, p.page))
	if err != nil || u == nil || u.Email != "ada@example.com" || strings.Join(u.Groups, " ") != "oidc:ml oidc:system:masters" {
		t.Errorf("logged in as %+v: %v", u, err)
	}
	if ok, err := access.May(t.Context(), u, See, "models", "staging"); !ok || err != nil || who != u {
		t.Errorf("Kubernetes was asked about %+v: %v", who, err)
	}
	if res, _ := get(browser(), "/api/v1/registries"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the API sends a stranger %d", res.StatusCode)
	}
	if res, err := c.PostForm(p.page+"/-/logout", nil); err != nil || res.StatusCode != 200 {
		t.Errorf("logging out: %v", err)
	}

	for what, claims := range map[string]map[string]any{
		"an unverified address":     {"email": "ada@example.com", "email_verified": false},
		"no name":                   {"email_verified": true},
		"a name of Kubernetes":      {"email": "system:admin"},
		"a token of another login":  {"email": "ada@example.com", "nonce": "another"},
		"a token of another client": {"email": "ada@example.com", "aud": "another"},
		"a token that ended":        {"email": "ada@example.com", "exp": time.Now().Add(-time.Hour).Unix()},
		"another issuer":            {"email": "ada@example.com", "iss": "https://evil.example.com"},
	} {
		p.claims = claims
		c := browser()
		if res, body := get(c, "/"); res.StatusCode != http.StatusForbidden || strings.Contains(body, "<html") {
			t.Errorf("%s: %d\n%s", what, res.StatusCode, body)
		}
		if u, _ := access.User(requestWith(c, p.page)); u != nil {
			t.Errorf("%s: logged in as %+v", what, u)
		}
	}
	if res, _ := get(browser(), "/-/callback?code=x&state=y"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a login that was not begun here: %d", res.StatusCode)
	}
}

// secureJar takes loopback for secure, as browsers do.
type secureJar struct{ http.CookieJar }

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

func (j *secureJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secure(u), cookies)
}
func (j *secureJar) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secure(u)) }

func requestWith(c *http.Client, page string) *http.Request {
	r := httptest.NewRequest("GET", page, nil)
	for _, cookie := range c.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	return r
}

// TestLoginIsForHTTPS: a page that is reached in clear from elsewhere logs nobody in.
func TestLoginIsForHTTPS(t *testing.T) {
	for _, u := range []string{"", "http://davit.example.com", "davit.example.com", "https://davit.example.com/path"} {
		if _, err := NewOIDCAccess(OIDCConfig{Issuer: "https://id.example.com", ClientID: "davit", URL: u, Rights: nobody}); err == nil {
			t.Errorf("%q is taken", u)
		}
	}
}
