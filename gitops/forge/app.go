package forge

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// AppConfig says which installation of which GitHub App.
type AppConfig struct {
	// URL is GitHub's address in a browser; https://github.com if "".
	URL string
	// ID is the App's ID or its client ID, Installation the number of its installation at the repository's owner.
	ID, Installation string
	// Key is the App's private key in PEM, as GitHub gives it.
	Key []byte
	// Client carries the requests, to URL's API alone; one with a timeout of 30 s if nil.
	Client *http.Client
}

// App hands out an installation's tokens. It may be used concurrently. Its errors hold neither key nor token; a refusal or
// an outage is an *Error.
type App struct {
	cfg AppConfig
	api string
	key *rsa.PrivateKey

	mu     sync.Mutex
	token  string
	expiry time.Time
}

const (
	// tokenLeft is how long a token must still be good: a fetch that begins with it may take minutes.
	tokenLeft = 5 * time.Minute
	// GitHub takes at most ten minutes, and its clock may be behind.
	// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
	assertionLife = 9 * time.Minute
	assertionSkew = time.Minute
)

// NewApp checks cfg; it sends nothing.
func NewApp(cfg AppConfig) (*App, error) {
	at, err := url.Parse(cmp.Or(cfg.URL, "https://github.com"))
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil {
		return nil, errors.New("the forge's url must be http(s)://host[/path], without credentials")
	}
	if cfg.ID == "" || strings.Trim(cfg.Installation, "0123456789") != "" || cfg.Installation == "" {
		return nil, errors.New("a GitHub App needs its ID and the number of its installation")
	}
	a := &App{cfg: cfg, api: strings.TrimSuffix(githubAPI(at), "/")}
	if a.key, err = jwt.ParseRSAPrivateKeyFromPEM(cfg.Key); err != nil {
		return nil, errors.New("the GitHub App's private key is not an RSA key in PEM; generate one in the App's settings")
	}
	if a.cfg.Client == nil {
		a.cfg.Client = &http.Client{Timeout: timeout}
	}
	return a, nil
}

// Token is the installation's token, asked for anew some minutes before it expires.
func (a *App) Token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Until(a.expiry) > tokenLeft {
		return a.token, nil
	}
	token, expiry, err := a.ask(ctx)
	if err != nil {
		return "", fmt.Errorf("asking %s for a token of the GitHub App's installation %s: %w", a.api, a.cfg.Installation, err)
	}
	a.token, a.expiry = token, expiry
	return token, nil
}

func (a *App) ask(ctx context.Context) (token string, expiry time.Time, err error) {
	assertion, err := a.assertion(time.Now())
	if err != nil {
		return "", expiry, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.api+"/app/installations/"+a.cfg.Installation+"/access_tokens", nil)
	if err != nil {
		return "", expiry, err
	}
	req.Header.Set("Authorization", "Bearer "+assertion)
	req.Header.Set("Accept", "application/vnd.github+json")
	c := *a.cfg.Client
	c.CheckRedirect = checkRedirect
	res, err := c.Do(req)
	if err != nil {
		return "", expiry, silence(req, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", expiry, silence(req, err)
	}
	if res.StatusCode != http.StatusCreated {
		return "", expiry, appRefusal(res, bytes.ReplaceAll(data, []byte(assertion), []byte("REDACTED")))
	}
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Token == "" {
		return "", expiry, errors.New("the answer holds no token; check the forge's url")
	}
	return answer.Token, answer.Expires, nil
}

// assertion is what the App proves itself by (RFC 7519, RS256).
func (a *App) assertion(now time.Time) (string, error) {
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: a.cfg.ID, IssuedAt: jwt.NewNumericDate(now.Add(-assertionSkew)), ExpiresAt: jwt.NewNumericDate(now.Add(assertionLife)),
	}).SignedString(a.key)
	if err != nil {
		return "", errors.New("signing with the GitHub App's private key failed")
	}
	return signed, nil
}

func appRefusal(res *http.Response, body []byte) error {
	refused := refusal(res, body)
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: the App's ID and private key do not go together, or this machine's clock is wrong", refused)
	case http.StatusNotFound:
		return fmt.Errorf("%w: the App has no such installation; its number is at the end of the address of its settings page", refused)
	}
	return refused
}
