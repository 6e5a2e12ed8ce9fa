package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDCConfig says which OpenID provider users log in with, and who they are then: by the same claims and prefixes as the API
// server's own --oidc flags, so that the same Roles count. Issuer, ClientID, URL and Rights are required.
type OIDCConfig struct {
	Issuer, ClientID, ClientSecret string
	// URL is where users reach the page, without a path: https://davit.example.com. The provider has to allow the redirect
	// to its /-/callback.
	URL string
	// UsernameClaim is "email" and GroupsClaim "groups" when empty.
	UsernameClaim, UsernamePrefix string
	GroupsClaim, GroupsPrefix     string
	// Scopes are asked for beside openid; email, profile and groups when empty.
	Scopes []string
	// Key is 32 bytes that sessions are sealed with; with those of another process its sessions are good here, too. Random
	// when nil, so that a restart has everybody log in again, which costs a click.
	Key []byte
	// Session is how long somebody is logged in; eight hours when zero.
	Session time.Duration
	Rights  Rights
	// Client reaches the provider; http.DefaultClient when nil.
	Client *http.Client
}

// OIDCAccess has users log in with an OpenID provider (OpenID Connect Core 1.0, authorization code flow with PKCE).
type OIDCAccess struct {
	cfg   OIDCConfig
	seals *seals

	mu       sync.Mutex
	provider *oidc.Provider // nil until it was reached
}

// NewOIDCAccess checks cfg. The provider need not be there yet.
func NewOIDCAccess(cfg OIDCConfig) (*OIDCAccess, error) {
	if cfg.Issuer == "" || cfg.ClientID == "" || cfg.Rights == nil {
		return nil, errors.New("logging in needs the provider's issuer, a client id, and rights")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("%q is not where users reach the page: want https://HOST", cfg.URL)
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.UsernameClaim == "" {
		cfg.UsernameClaim = "email"
	}
	if cfg.GroupsClaim == "" {
		cfg.GroupsClaim = "groups"
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"email", "profile", "groups"}
	}
	if cfg.Session == 0 {
		cfg.Session = 8 * time.Hour
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	seals, err := newSeals(cfg.Key)
	if err != nil {
		return nil, err
	}
	return &OIDCAccess{cfg: cfg, seals: seals}, nil
}

func isLoopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// The cookies. Browsers take names that begin so from this very host over TLS alone (or from loopback), and for all paths.
const (
	sessionCookie = "__Host-davit"
	loginCookie   = "__Host-davit-login"
)

// session is what the browser keeps for whoever is logged in, sealed.
type session struct {
	Name   string    `json:"n"`
	Groups []string  `json:"g,omitempty"`
	Email  string    `json:"e,omitempty"`
	Until  time.Time `json:"u"`
}

// login is what it keeps between the two halves of logging in.
type login struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

// User is who is logged in.
func (a *OIDCAccess) User(r *http.Request) (*User, error) {
	var s session
	if c, err := r.Cookie(sessionCookie); err != nil || !a.seals.open(sessionCookie, c.Value, &s) || time.Now().After(s.Until) {
		return nil, nil
	}
	return &User{s.Name, s.Groups, s.Email}, nil
}

// ServeHTTP leads whoever looks at a page to the provider, and refuses what no person sees.
func (a *OIDCAccess) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, http.StatusUnauthorized, problem{"nobody is logged in"})
		return
	}
	a.begin(w, r, r.URL.RequestURI())
}

// Route adds the places that logging in and out need.
func (a *OIDCAccess) Route(mux *http.ServeMux) {
	mux.HandleFunc("GET /-/callback", a.callback)
	mux.HandleFunc("POST /-/logout", func(w http.ResponseWriter, r *http.Request) {
		a.cookie(w, sessionCookie, "", -1)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

// May asks Kubernetes.
func (a *OIDCAccess) May(ctx context.Context, user *User, verb Verb, registry, environment string) (bool, error) {
	return a.cfg.Rights.may(ctx, user, verb, registry, environment)
}

// begin sends the browser to the provider.
func (a *OIDCAccess) begin(w http.ResponseWriter, r *http.Request, next string) {
	provider, err := a.reach(r.Context())
	if err != nil {
		http.Error(w, "the provider that users log in with is not reached; try again in a moment", http.StatusBadGateway)
		return
	}
	l := login{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: time.Now().Add(10 * time.Minute)}
	sealed, err := a.seals.seal(loginCookie, l)
	if err != nil {
		http.Error(w, "this page can't be returned to after the login: begin at /", http.StatusBadRequest)
		return
	}
	a.cookie(w, loginCookie, sealed, 600)
	http.Redirect(w, r, a.flow(provider).AuthCodeURL(l.State, oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier)), http.StatusFound)
}

// callback takes what the provider says.
func (a *OIDCAccess) callback(w http.ResponseWriter, r *http.Request) {
	var l login
	c, err := r.Cookie(loginCookie)
	q := r.URL.Query()
	if err != nil || !a.seals.open(loginCookie, c.Value, &l) || time.Now().After(l.Until) || l.State == "" || q.Get("state") != l.State {
		http.Error(w, "this login was not begun here, or took too long: begin again at /", http.StatusBadRequest)
		return
	}
	a.cookie(w, loginCookie, "", -1)
	s, err := a.exchange(r.Context(), q.Get("code"), l)
	if err != nil {
		http.Error(w, "not logged in: "+err.Error(), http.StatusForbidden)
		return
	}
	sealed, err := a.seals.seal(sessionCookie, s)
	if err != nil {
		http.Error(w, "not logged in: "+err.Error()+"; have the provider tell fewer groups", http.StatusForbidden)
		return
	}
	a.cookie(w, sessionCookie, sealed, int(a.cfg.Session.Seconds()))
	http.Redirect(w, r, localPath(l.Next), http.StatusFound)
}

// exchange turns the provider's code into who the user is. Its errors hold nothing that the provider sent.
func (a *OIDCAccess) exchange(ctx context.Context, code string, l login) (*session, error) {
	provider, err := a.reach(ctx)
	if err != nil {
		return nil, errors.New("the provider is not reached")
	}
	ctx = oidc.ClientContext(ctx, a.cfg.Client)
	token, err := a.flow(provider).Exchange(ctx, code, oauth2.VerifierOption(l.Verifier))
	if err != nil {
		return nil, errors.New("the provider does not know this login")
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: a.cfg.ClientID}).Verify(ctx, raw)
	if err != nil || id.Nonce != l.Nonce {
		return nil, errors.New("the provider's token is not valid")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, errors.New("the provider's token can't be read")
	}
	return a.session(claims)
}

// session reads who the user is from the token's claims.
func (a *OIDCAccess) session(claims map[string]any) (*session, error) {
	name, _ := claims[a.cfg.UsernameClaim].(string)
	if name == "" {
		return nil, fmt.Errorf("the provider's token has no claim %q", a.cfg.UsernameClaim)
	}
	verified, told := claims["email_verified"].(bool)
	email, _ := claims["email"].(string)
	if told && !verified {
		if a.cfg.UsernameClaim == "email" {
			return nil, errors.New("the provider has not verified the user's email address")
		}
		email = ""
	}
	s := &session{Name: a.cfg.UsernamePrefix + name, Email: email, Until: time.Now().Add(a.cfg.Session)}
	if strings.HasPrefix(s.Name, "system:") {
		return nil, errors.New("names that begin with system: are Kubernetes' own")
	}
	var groups []string
	switch told := claims[a.cfg.GroupsClaim].(type) {
	case string:
		groups = []string{told}
	case []any:
		for _, g := range told {
			if g, ok := g.(string); ok {
				groups = append(groups, g)
			}
		}
	}
	for i := range groups {
		groups[i] = a.cfg.GroupsPrefix + groups[i]
	}
	s.Groups = slices.Compact(slices.Sorted(slices.Values(groupsOf(groups))))
	return s, nil
}

// reach reads the provider's description, once.
func (a *OIDCAccess) reach(ctx context.Context) (*oidc.Provider, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider != nil {
		return a.provider, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, a.cfg.Client), a.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	a.provider = provider
	return provider, nil
}

func (a *OIDCAccess) flow(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.cfg.ClientID, ClientSecret: a.cfg.ClientSecret, Endpoint: provider.Endpoint(),
		RedirectURL: a.cfg.URL + "/-/callback", Scopes: append([]string{oidc.ScopeOpenID}, a.cfg.Scopes...),
	}
}

func (a *OIDCAccess) cookie(w http.ResponseWriter, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// localPath is a place of this page; nothing leads elsewhere.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, "\\") {
		return "/"
	}
	return next
}
