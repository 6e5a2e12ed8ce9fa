package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2/google"
)

// identities are the process's own at the clouds whose registries are known by their hosts. Tokens are kept until shortly
// before they end. Nothing is asked before a registry of that cloud is reached.
type identities struct {
	// client reaches the services that make tokens of identities; a limited one when nil.
	client *http.Client
	// aws and azure give the process's identity; the SDKs' default chains when nil.
	aws   awsIdentity
	azure azureIdentity
	// log hears of each registry that is asked anonymously since the process has no identity there; nobody when nil.
	log *slog.Logger

	mu     sync.Mutex
	tokens map[string]token // by registry
	told   map[string]bool  // of log
}

type token struct {
	auth authn.AuthConfig
	ends time.Time
}

// Resolve is [authn.Keychain]: anonymous where no cloud is known.
func (i *identities) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if i.asks(target.RegistryStr()) == nil {
		return authn.Anonymous, nil
	}
	return &identified{i, target}, nil
}

// identified asks for a token when a client needs one.
type identified struct {
	identities *identities
	target     authn.Resource
}

func (a *identified) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background()) // what go-containerregistry calls has a context
}

func (a *identified) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	return a.identities.credentials(ctx, a.target)
}

// margin is how long before its end a token is renewed: an upload of weights begins with it.
const margin = 5 * time.Minute

// credentials are the cloud's for a registry of its own; anonymous elsewhere, and where the process has no identity there:
// the image may be public.
func (i *identities) credentials(ctx context.Context, target authn.Resource) (*authn.AuthConfig, error) {
	host := target.RegistryStr()
	ask := i.asks(host)
	if ask == nil {
		return &authn.AuthConfig{}, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if t, ok := i.tokens[host]; ok && time.Until(t.ends) > margin {
		return &t.auth, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t, err := ask(ctx, host)
	switch {
	case errors.Is(err, errNoIdentity):
		i.anonymous(host, err)
		return &authn.AuthConfig{}, nil
	case err != nil:
		return nil, fmt.Errorf("logging in to %s by workload identity: %w; or name a Secret in images.secret", host, err)
	}
	if i.tokens == nil {
		i.tokens = map[string]token{}
	}
	i.tokens[host] = t
	return &t.auth, nil
}

// errNoIdentity says that the process has none at that cloud. What wraps it says why.
var errNoIdentity = errors.New("the process has no identity there")

func noIdentity(err error) error {
	return fmt.Errorf("%w: %s", errNoIdentity, strings.Join(strings.Fields(err.Error()), " "))
}

// anonymous tells once of a registry that it is asked without credentials: if it refuses, this is why. i.mu is held.
func (i *identities) anonymous(host string, err error) {
	if i.log == nil || i.told[host] {
		return
	}
	if i.told == nil {
		i.told = map[string]bool{}
	}
	i.told[host] = true
	i.log.Warn("OCI registry is asked anonymously; give the process a workload identity there, or name a Secret in images.secret", "registry", host, "error", err)
}

func (i *identities) asks(host string) func(context.Context, string) (token, error) {
	switch {
	case host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev"):
		return i.google
	case ecrHost.MatchString(host):
		return i.ecr
	case strings.HasSuffix(host, ".azurecr.io") || strings.HasSuffix(host, ".azurecr.cn") || strings.HasSuffix(host, ".azurecr.us"):
		return i.acr
	}
	return nil
}

// google is Artifact Registry's and Container Registry's way (https://cloud.google.com/artifact-registry/docs/docker/authentication#token).
func (i *identities) google(ctx context.Context, _ string) (token, error) {
	found, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return token{}, noIdentity(err)
	}
	t, err := found.TokenSource.Token()
	if err != nil {
		return token{}, err
	}
	return token{authn.AuthConfig{Username: "oauth2accesstoken", Password: t.AccessToken}, t.Expiry}, nil
}

func (i *identities) http() *http.Client {
	if i.client != nil {
		return i.client
	}
	return &http.Client{Timeout: 30 * time.Second}
}
