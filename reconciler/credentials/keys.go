package credentials

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
)

// The keys, as people know them from Secrets of these kinds.
const (
	username     = "username"
	password     = "password"
	bearer       = "bearerToken"
	appID        = "githubAppID"
	appInstalled = "githubAppInstallationID"
	appKey       = "githubAppPrivateKey"
	ca           = "ca.crt"
	cert         = "tls.crt"
	certKey      = "tls.key"
	identity     = "identity"
	knownHosts   = "known_hosts"
	address      = "address"
)

// names are the keys that mean something.
var names = []string{username, password, bearer, appID, appInstalled, appKey, ca, cert, certKey, identity, knownHosts}

// parse reads the keys for a repository. The App's token is still to be asked for.
func parse(repository string, keys Keys) (access gitops.Access, app *appConfig, err error) {
	if !slices.ContainsFunc(names, keys.has) {
		return access, nil, fmt.Errorf("none of the keys %s is there", strings.Join(names, ", "))
	}
	scheme, _, found := strings.Cut(repository, "://")
	switch {
	case gitops.IsLocal(repository):
		return access, nil, errors.New("they are for http, https and ssh URLs")
	case !found || scheme == "ssh" || scheme == "git+ssh" || scheme == "ssh+git":
		access, err = parseSSH(repository, keys)
		return access, nil, err
	case scheme == "http" || scheme == "https":
		return parseHTTP(keys)
	}
	return access, nil, errors.New("they are for http, https and ssh URLs")
}

func parseSSH(repository string, keys Keys) (access gitops.Access, err error) {
	if !keys.has(identity) {
		return access, errors.New("there is no key identity, the private key for ssh; make one with ssh-keygen -t ed25519 -N '' -f identity, and allow identity.pub to read the repository")
	}
	if !keys.has(knownHosts) {
		return access, fmt.Errorf("there is no key known_hosts, and a host that is not known may be anybody's; make it with %s > known_hosts, and hold it against the fingerprints that the host publishes", keyscan(repository))
	}
	access.Identity, access.KnownHosts, access.Passphrase = keys[identity], keys[knownHosts], keys.text(password)
	return access, nil
}

// keyscan is the command that asks a repository's host for its keys.
func keyscan(repository string) string {
	if u, err := url.Parse(repository); err == nil && u.Host != "" {
		if u.Port() != "" && u.Port() != "22" {
			return "ssh-keyscan -p " + u.Port() + " " + u.Hostname()
		}
		return "ssh-keyscan " + u.Hostname()
	}
	host, _, _ := strings.Cut(repository, ":")
	return "ssh-keyscan " + host[strings.LastIndex(host, "@")+1:]
}

func parseHTTP(keys Keys) (access gitops.Access, app *appConfig, err error) {
	basic := keys.has(username) || keys.has(password)
	isApp := keys.has(appID) || keys.has(appInstalled) || keys.has(appKey)
	ways := 0
	for _, has := range []bool{basic, keys.has(bearer), isApp} {
		if has {
			ways++
		}
	}
	switch {
	case ways > 1:
		return access, nil, errors.New("there is more than one of username and password, bearerToken, and a GitHub App's keys; keep the one that is meant")
	case ways == 0 && keys.has(identity):
		return access, nil, errors.New("the key identity is for ssh, and the repository's URL is not: write it as ssh://git@host/path, or give username and password")
	case basic:
		if err := needs(keys, username, password); err != nil {
			return access, nil, err
		}
	case isApp:
		if err := needs(keys, appID, appInstalled, appKey); err != nil {
			return access, nil, err
		}
		app = &appConfig{keys.text(appID), keys.text(appInstalled), string(keys[appKey])}
	}
	if keys.has(cert) || keys.has(certKey) {
		if err := needs(keys, cert, certKey); err != nil {
			return access, nil, err
		}
		access.Certificate, access.Key = keys[cert], keys[certKey]
	}
	if keys.has(ca) {
		access.CA = keys[ca]
	}
	access.Username, access.Password, access.Bearer = keys.text(username), keys.text(password), keys.text(bearer)
	return access, app, nil
}

// needs says which keys of those that go together are missing.
func needs(keys Keys, together ...string) error {
	var missing []string
	for _, key := range together {
		if !keys.has(key) {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("there is no key %s; %s go together", strings.Join(missing, " and no key "), strings.Join(together, ", "))
}

func parseProxy(keys Keys) (*url.URL, error) {
	if !keys.has(address) {
		return nil, errors.New("there is no key address; it is http://host:port")
	}
	proxy, err := url.Parse(keys.text(address))
	switch {
	case err != nil || proxy.Hostname() == "" || proxy.Scheme != "http" && proxy.Scheme != "https":
		return nil, errors.New("the proxy's address is not http://host:port or https://host:port")
	case proxy.User != nil:
		return nil, errors.New("the proxy's address holds a user; keep it in the keys username and password")
	}
	if keys.has(username) || keys.has(password) {
		if err := needs(keys, username, password); err != nil {
			return nil, err
		}
		proxy.User = url.UserPassword(keys.text(username), keys.text(password))
	}
	return proxy, nil
}
