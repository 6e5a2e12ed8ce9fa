package gitops

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Access is how a remote repository, its LFS server and its forge are reached, and as whom. The zero value is a stranger:
// with the system's certificate authorities, the proxy of the environment, and for ssh the agent's keys and the user's
// known_hosts. It is not changed once it was given away.
type Access struct {
	// Username and Password are sent to http and https remotes. A token of a forge is a Password.
	Username, Password string
	// Bearer is a token that is sent instead of them.
	Bearer string
	// CA are certificate authorities in PEM, which count beside the system's.
	CA []byte
	// Certificate and Key are a client certificate in PEM, for servers that ask for one.
	Certificate, Key []byte
	// Proxy is an http or https proxy, with user and password where it asks for them. Ssh goes through it, too.
	Proxy *url.URL
	// Identity is a private key for ssh, as ssh-keygen writes it, and Passphrase what opens it.
	Identity   []byte
	Passphrase string
	// KnownHosts are lines of a known_hosts file.
	KnownHosts []byte
}

// accessError is an access that can't be had or used: an answer, and no outage.
type accessError struct{ err error }

func (e *accessError) Error() string { return e.err.Error() }
func (e *accessError) Unwrap() error { return e.err }

// Transport carries requests as a says, without its credentials for the repository. It has its own connections:
// CloseIdleConnections ends them.
func (a Access) Transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(a.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(a.CA) {
			return nil, errors.New("the certificate authority (ca.crt) has no certificate in PEM")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if len(a.Certificate) > 0 || len(a.Key) > 0 {
		pair, err := tls.X509KeyPair(a.Certificate, a.Key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate (tls.crt and tls.key, both in PEM): %w", err)
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if a.Proxy != nil {
		t.Proxy = http.ProxyURL(a.Proxy)
	}
	return t, nil
}

// authorize adds the credentials to a request to the remote.
func (a Access) authorize(req *http.Request) {
	switch {
	case a.Bearer != "":
		req.Header.Set("Authorization", "Bearer "+a.Bearer)
	case a.Username != "" || a.Password != "":
		req.SetBasicAuth(a.Username, a.Password)
	}
}

// secrets are what must not be printed, in every spelling that a server, a proxy or a library may quote.
func (a Access) secrets() (all []string) {
	add := func(user, secret string) {
		if secret = cmp.Or(secret, user); secret != "" {
			all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
		}
	}
	add(a.Username, a.Password)
	add("", a.Bearer)
	add("", a.Passphrase)
	if a.Proxy != nil && a.Proxy.User != nil {
		password, _ := a.Proxy.User.Password()
		add(a.Proxy.User.Username(), password)
	}
	return all
}
