package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/web"
)

// accessOptions say by what the web page knows its users.
type accessOptions struct {
	cert, key   string
	proxies     []string
	proxy       web.ProxyConfig
	oidc        web.OIDCConfig
	secretFile  string
	sessionFile string
}

func (o *accessOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.cert, "ui-cert", "", "serve the web page over https with the certificate in this file; replaced, it is read anew")
	f.StringVar(&o.key, "ui-key", "", "file with the certificate's key")
	f.StringVar(&o.proxy.User, "ui-user-header", "", "header in which an authenticating proxy names the web page's user, such as X-Forwarded-User")
	f.StringVar(&o.proxy.Groups, "ui-groups-header", "", "header with the user's groups, divided by commas")
	f.StringVar(&o.proxy.Email, "ui-email-header", "", "header with the user's email address")
	f.StringSliceVar(&o.proxies, "ui-proxy", nil, "addresses that this proxy's requests come from, such as 10.0.3.0/24; the headers of others count for nothing")
	f.StringVar(&o.oidc.Issuer, "ui-oidc-issuer", "", "OpenID provider that the web page's users log in with")
	f.StringVar(&o.oidc.ClientID, "ui-oidc-client-id", "", "davit's client id there")
	f.StringVar(&o.secretFile, "ui-oidc-client-secret-file", "", "file with the client's secret; none for a public client")
	f.StringVar(&o.oidc.URL, "ui-url", "", "where users reach the web page: https://davit.example.com; the provider redirects to its /-/callback")
	f.StringVar(&o.oidc.UsernameClaim, "ui-oidc-username-claim", "email", "claim that is the user's name for Kubernetes")
	f.StringVar(&o.oidc.UsernamePrefix, "ui-oidc-username-prefix", "", "what the API server puts before it")
	f.StringVar(&o.oidc.GroupsClaim, "ui-oidc-groups-claim", "groups", "claim that has the user's groups")
	f.StringVar(&o.oidc.GroupsPrefix, "ui-oidc-groups-prefix", "", "what the API server puts before each")
	f.StringSliceVar(&o.oidc.Scopes, "ui-oidc-scopes", nil, "scopes asked for beside openid (default: email, profile, groups)")
	f.StringVar(&o.sessionFile, "ui-session-key-file", "", "file with 32 bytes in base64 that sessions are sealed with (default: random, so that a restart has everybody log in again)")
}

// open is nil where nothing was said: then nobody is known.
func (o *accessOptions) open(f *fleet.Fleet) (web.Access, error) {
	rights := func(ctx context.Context, user *web.User, verb, resource, registry, environment string) (bool, error) {
		return f.Allowed(ctx, fleet.Subject{Name: user.Name, Groups: append([]string{"system:authenticated"}, user.Groups...)}, verb, resource, registry, environment)
	}
	switch {
	case o.proxy.User != "" && o.oidc.Issuer != "":
		return nil, usage{errors.New("--ui-user-header and --ui-oidc-issuer exclude each other")}
	case o.proxy.User != "":
		return o.openProxy(rights)
	case o.oidc.Issuer != "":
		return o.openOIDC(rights)
	case len(o.proxies) > 0 || o.proxy.Groups != "" || o.proxy.Email != "":
		return nil, usage{errors.New("--ui-proxy, --ui-groups-header and --ui-email-header are of no use without --ui-user-header")}
	case o.oidc.ClientID != "" || o.secretFile != "" || o.oidc.URL != "":
		return nil, usage{errors.New("--ui-oidc-client-id, --ui-oidc-client-secret-file and --ui-url are of no use without --ui-oidc-issuer")}
	}
	return nil, nil
}

func (o *accessOptions) openProxy(rights web.Rights) (web.Access, error) {
	config := o.proxy
	config.Rights = rights
	for _, text := range o.proxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, addressErr := netip.ParseAddr(text)
			if addressErr != nil {
				return nil, usage{fmt.Errorf("--ui-proxy %q is no address, such as 10.0.3.7 or 10.0.3.0/24", text)}
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		config.From = append(config.From, prefix)
	}
	if len(config.From) == 0 {
		return nil, usage{errors.New("--ui-user-header needs --ui-proxy: whoever may set that header is whom they like")}
	}
	return web.NewProxyAccess(config)
}

func (o *accessOptions) openOIDC(rights web.Rights) (web.Access, error) {
	config := o.oidc
	config.Rights = rights
	if o.secretFile != "" {
		secret, err := os.ReadFile(o.secretFile)
		if err != nil {
			return nil, fmt.Errorf("reading the secret of the OpenID client: %w", err)
		}
		config.ClientSecret = strings.TrimSpace(string(secret))
	}
	if o.sessionFile != "" {
		text, err := os.ReadFile(o.sessionFile)
		if err != nil {
			return nil, fmt.Errorf("reading the key of sessions: %w", err)
		}
		if config.Key, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text))); err != nil || len(config.Key) != 32 {
			return nil, usage{fmt.Errorf("--ui-session-key-file %s has no 32 bytes in base64: openssl rand -base64 32 writes them", o.sessionFile)}
		}
	}
	access, err := web.NewOIDCAccess(config)
	if err != nil {
		return nil, usage{err}
	}
	return access, nil
}
