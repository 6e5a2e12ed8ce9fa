package credentials

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// Keys are the keys of a Secret, or files by their names.
type Keys map[string][]byte

// text is a value without the line end that a file has.
func (k Keys) text(key string) string { return strings.TrimRight(string(k[key]), "\r\n") }

func (k Keys) has(key string) bool { return len(bytes.TrimSpace(k[key])) > 0 }

// Config says what is read, and for which repository.
type Config struct {
	// URL is the repository's.
	URL string
	// Forge is the forge's address in a browser; "" for the repository's host.
	Forge string
	// Keys and Proxy read the credentials and the proxy's address and password, anew each time. Nil where there are none.
	Keys, Proxy func(ctx context.Context) (Keys, error)
	// KeysName and ProxyName are what errors about keys begin with: "Secret davit-system/git".
	KeysName, ProxyName string
}

// Credentials read what Config names whenever they are asked. They may be used concurrently.
type Credentials struct {
	cfg Config

	mu  sync.Mutex
	app *forge.App
	of  appConfig // whose app is
}

// New checks nothing yet: what is not there may come.
func New(cfg Config) *Credentials { return &Credentials{cfg: cfg} }

// Access is how the repository is reached at present: gitops.Config.Access.
func (c *Credentials) Access(ctx context.Context) (gitops.Access, error) {
	access, app, err := c.read(ctx)
	if err != nil || app == nil {
		return access, err
	}
	if access.Password, err = c.installation(ctx, *app, access); err != nil {
		return gitops.Access{}, err
	}
	access.Username = appUser
	return access, nil
}

// appUser goes with an installation's token to GitHub's Git servers.
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation
const appUser = "x-access-token"

// HasApp says whether the keys are a GitHub App's.
func (c *Credentials) HasApp(ctx context.Context) (bool, error) {
	_, app, err := c.read(ctx)
	return app != nil, err
}

// ForgeToken is the token of the App's installation for the forge's API.
func (c *Credentials) ForgeToken(ctx context.Context) (string, error) {
	access, app, err := c.read(ctx)
	if err != nil {
		return "", err
	}
	if app == nil {
		return "", fmt.Errorf("the credentials are no GitHub App's")
	}
	return c.installation(ctx, *app, access)
}

func (c *Credentials) read(ctx context.Context) (access gitops.Access, app *appConfig, err error) {
	if c.cfg.Keys != nil {
		keys, err := c.cfg.Keys(ctx)
		if err != nil {
			return access, nil, err
		}
		if access, app, err = parse(c.cfg.URL, keys); err != nil {
			return gitops.Access{}, nil, fmt.Errorf("%s: %w", cmp.Or(c.cfg.KeysName, "credentials"), err)
		}
	}
	if c.cfg.Proxy != nil {
		keys, err := c.cfg.Proxy(ctx)
		if err != nil {
			return gitops.Access{}, nil, err
		}
		if access.Proxy, err = parseProxy(keys); err != nil {
			return gitops.Access{}, nil, fmt.Errorf("%s: %w", cmp.Or(c.cfg.ProxyName, "proxy"), err)
		}
	}
	return access, app, nil
}

// appConfig is a GitHub App's installation; it can be compared.
type appConfig struct{ id, installation, key string }

// installation asks for the token by the same authorities and proxy as the repository.
func (c *Credentials) installation(ctx context.Context, of appConfig, access gitops.Access) (string, error) {
	c.mu.Lock()
	if c.app == nil || c.of != of {
		app, err := forge.NewApp(forge.AppConfig{
			URL: c.forge(), ID: of.id, Installation: of.installation, Key: []byte(of.key),
			Client: &http.Client{Timeout: 30 * time.Second, Transport: c},
		})
		if err != nil {
			c.mu.Unlock()
			return "", err
		}
		c.app, c.of = app, of
	}
	app := c.app
	c.mu.Unlock()
	return app.Token(context.WithValue(ctx, accessKey{}, access))
}

type accessKey struct{}

// RoundTrip carries the App's requests. There is one in an hour, so connections are not kept.
func (c *Credentials) RoundTrip(req *http.Request) (*http.Response, error) {
	access, _ := req.Context().Value(accessKey{}).(gitops.Access)
	t, err := access.Transport()
	if err != nil {
		return nil, err
	}
	t.DisableKeepAlives = true
	return t.RoundTrip(req)
}

// forge is the address that the App's API is found by.
func (c *Credentials) forge() string {
	if c.cfg.Forge != "" {
		return c.cfg.Forge
	}
	scheme, rest, _ := strings.Cut(c.cfg.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	return scheme + "://" + host
}
