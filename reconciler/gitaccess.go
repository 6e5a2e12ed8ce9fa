package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/credentials"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// credentials read the Secrets by which a ModelRegistry's repository is reached, anew each time; nil where it names none.
func (cfg ControllerConfig) credentials(mr *v1alpha1.ModelRegistry) (*credentials.Credentials, error) {
	spec := &mr.Spec
	if spec.Credentials == "" && spec.Proxy == "" {
		return nil, nil
	}
	if gitops.IsLocal(spec.URL) {
		return nil, errors.New("spec.credentials are for http, https and ssh URLs, and so is spec.proxy")
	}
	c := credentials.Config{URL: spec.URL}
	if spec.Forge != nil {
		c.Forge = spec.Forge.URL
	}
	if spec.Credentials != "" {
		make := "--from-literal=username=NAME --from-literal=password=TOKEN"
		if !strings.HasPrefix(spec.URL, "http") {
			make = "--from-file=identity --from-file=known_hosts"
		}
		c.KeysName = "spec.credentials: Secret " + mr.Namespace + "/" + spec.Credentials
		c.Keys = cfg.keys(mr, "spec.credentials", spec.Credentials, make)
	}
	if spec.Proxy != "" {
		c.ProxyName = "spec.proxy: Secret " + mr.Namespace + "/" + spec.Proxy
		c.Proxy = cfg.keys(mr, "spec.proxy", spec.Proxy, "--from-literal=address=http://HOST:PORT")
	}
	return credentials.New(c), nil
}

// keys reads a Secret; one that is not there is told with how it is made.
func (cfg ControllerConfig) keys(mr *v1alpha1.ModelRegistry, field, name, made string) func(context.Context) (credentials.Keys, error) {
	return func(ctx context.Context) (credentials.Keys, error) {
		data, err := cfg.Cluster.Secrets(ctx, mr.Namespace, name)
		if cluster.NoSecret(err) {
			return nil, fmt.Errorf("%s: there is no Secret %s/%s; make it: kubectl create secret generic -n %[2]s %[3]s %[4]s", field, mr.Namespace, name, made)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		return data, nil
	}
}

// open opens the repository of a ModelRegistry. What its Secrets become is heeded by the next session, which a change of
// one of them asks for at once.
func (cfg ControllerConfig) open(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, c gitops.Config) (*gitops.Source, *credentials.Credentials, func(), error) {
	access, err := cfg.credentials(mr)
	if err != nil {
		return nil, nil, nil, err
	}
	c.URL, c.Log = mr.Spec.URL, log
	if access != nil {
		c.Access = access.Access
	}
	source, err := gitops.Open(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	anew, _ := secretsOf(&mr.Spec)
	stop := cfg.secrets.on(anew, source.Notify)
	return source, access, func() {
		stop()
		source.Close()
	}, nil
}

// forgeTimeout is how long a request to a forge may take.
const forgeTimeout = 30 * time.Second

// forgeToken reads the token for the forge: the forge's Secret's, or where that has none the GitHub App's by which the
// repository is reached.
func (cfg ControllerConfig) forgeToken(mr *v1alpha1.ModelRegistry, access *credentials.Credentials) func(context.Context) (string, error) {
	name := mr.Spec.Forge.Secret
	return func(ctx context.Context) (string, error) {
		var data credentials.Keys
		if name != "" {
			var err error
			if data, err = cfg.keys(mr, "spec.forge.secret", name, "--from-literal=token=TOKEN")(ctx); err != nil {
				return "", err
			}
		}
		if token := strings.TrimSpace(string(data["token"])); token != "" { // made from a file, it ends in a new line
			return token, nil
		}
		if access != nil {
			if app, err := access.HasApp(ctx); app || err != nil {
				return access.ForgeToken(ctx)
			}
		}
		if name == "" {
			return "", errors.New("spec.forge names no Secret with a token, and the credentials are no GitHub App's")
		}
		return "", fmt.Errorf("spec.forge.secret: Secret %s/%s has no key token", mr.Namespace, name)
	}
}
