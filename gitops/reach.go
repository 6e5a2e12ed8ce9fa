package gitops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// reach opens connections to a remote, each as Config.Access says at the time. Nothing of it is go-git's table of
// protocols, which is one for the whole process: two remotes with different certificate authorities are told apart.
type reach struct {
	ask func(context.Context) (Access, error) // nil: what is in the remote's URL

	mu     sync.Mutex
	access Access
	http   *http.Transport // of access; nil until it was asked for
	hidden []string        // the secrets of access, and of the one before: an answer to it may come late
}

// now is the access at present, and the transport that goes with it. Connections are kept as long as it stays the same.
func (r *reach) now(ctx context.Context) (Access, http.RoundTripper, error) {
	if r.ask == nil {
		return Access{}, http.DefaultTransport, nil
	}
	access, err := r.ask(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return access, nil, ctx.Err()
		}
		return access, nil, &accessError{err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.http != nil && reflect.DeepEqual(access, r.access) {
		return access, r.http, nil
	}
	t, err := access.Transport()
	if err != nil {
		return access, nil, &accessError{err}
	}
	if r.http != nil {
		r.http.CloseIdleConnections()
	}
	r.hidden = append(access.secrets(), r.access.secrets()...)
	r.access, r.http = access, t
	return access, t, nil
}

// secrets are what of the accesses must not be printed.
func (r *reach) secrets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.hidden)
}

// dial is how go-git speaks to the remote at present.
func (m *mirror) dial(ctx context.Context) (transport.Transport, *transport.Endpoint, transport.AuthMethod, error) {
	endpoint, err := transport.NewEndpoint(m.url)
	if err != nil {
		return nil, nil, nil, err
	}
	access, carrier, err := m.reach.now(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	switch endpoint.Protocol {
	case "http", "https":
		auth := access.http(m.auth)
		if auth != nil && inClear(endpoint) {
			m.bare.Do(func() {
				m.log.Warn("the repository's credentials go over http, where everybody on the way can read them; write its URL with https", "url", m.shown)
			})
		}
		return githttp.NewClient(&http.Client{Transport: carrier}), endpoint, auth, nil
	case "ssh":
		auth, err := access.ssh(endpoint, m.store.common)
		if err != nil {
			return nil, nil, nil, &accessError{err}
		}
		endpoint.Proxy = access.way(ctx)
		return gitssh.NewClient(nil), endpoint, auth, nil
	}
	c, err := client.NewClient(endpoint)
	return c, endpoint, nil, err
}

// inClear says whether what is sent to a host can be read on the way; nobody is on that to the machine itself.
func inClear(endpoint *transport.Endpoint) bool {
	ip := net.ParseIP(strings.Trim(endpoint.Host, "[]"))
	return endpoint.Protocol == "http" && endpoint.Host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// http is how go-git authorizes its requests; as the URL says where a has no credentials.
func (a Access) http(otherwise transport.AuthMethod) transport.AuthMethod {
	switch {
	case a.Bearer != "":
		return &githttp.TokenAuth{Token: a.Bearer}
	case a.Username != "" || a.Password != "":
		return &githttp.BasicAuth{Username: a.Username, Password: a.Password}
	}
	return otherwise
}

// redact hides the credentials of the URL and of the accesses.
func (m *mirror) redact(err error) error {
	r := m.remote
	r.secrets = append(slices.Clone(r.secrets), m.reach.secrets()...)
	return r.redact(err)
}

// HTTP carries requests to what belongs to the remote, its forge for one, by its certificate authorities, client
// certificate and proxy as they are at each request. It adds no credentials. Those of a local repository are the process's.
func (s *Source) HTTP() http.RoundTripper {
	if s.mirror == nil {
		return http.DefaultTransport
	}
	return carrier(func(req *http.Request) (*http.Response, error) {
		_, next, err := s.mirror.reach.now(req.Context())
		if err != nil {
			return nil, err
		}
		return next.RoundTrip(req)
	})
}

// LFSTransport carries requests to the snapshot's LFS server, by next where Config.Access says nothing else. It adds the
// repository's credentials where the server is at the repository's own scheme, host and port, and nothing else is
// authorized. For an ssh remote it asks the host where the server is and what opens it (git-lfs-authenticate); one that
// knows no such command has the server asked over https as by a stranger.
func (s *Snapshot) LFSTransport(next http.RoundTripper) http.RoundTripper {
	return s.source.LFSTransport(next)
}

// LFSTransport is that of the worktree.
func (s *Source) LFSTransport(next http.RoundTripper) http.RoundTripper {
	remote, err := s.remoteURL()
	own := discoverLFS(remote)
	given := s.mirror != nil && s.mirror.reach.ask != nil
	if err != nil || own == nil || !given && !isSSH(remote) {
		return next
	}
	batch := own.JoinPath("objects/batch")
	batch.User = nil
	return carrier(func(req *http.Request) (*http.Response, error) {
		access, next, err := Access{}, next, error(nil)
		if given {
			if access, next, err = s.mirror.reach.now(req.Context()); err != nil {
				return nil, err
			}
		}
		asks := req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/objects/batch") && req.Header.Get("Authorization") == "" // the answer says what opens the rest
		switch {
		case asks && isSSH(remote) && req.URL.String() == batch.String():
			return s.overSSH(req, remote, access, next)
		case asks && !isSSH(remote) && req.URL.Scheme == own.Scheme && req.URL.Host == own.Host:
			req = req.Clone(req.Context())
			access.authorize(req)
		}
		return next.RoundTrip(req)
	})
}

// overSSH sends a request as the remote's ssh host says.
func (s *Source) overSSH(req *http.Request, remote string, access Access, next http.RoundTripper) (*http.Response, error) {
	authorized, err := s.lfsSSH.authorize(req, remote, s.askSSH(access, remote))
	if err != nil {
		return nil, err
	}
	answer, err := next.RoundTrip(authorized)
	if err == nil && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		s.lfsSSH.forget()
	}
	return answer, err
}

type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(req *http.Request) (*http.Response, error) { return c(req) }

// advice says what to do about an error of a transport, where its words tell the cause.
func (m *mirror) advice(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return "; check the credentials of the repository"
	case strings.Contains(text, "ssh: unable to authenticate"):
		return "; check that the public half of the key (ssh-keygen -y -f identity) is allowed to read the repository"
	case strings.Contains(text, "SSH_AUTH_SOCK"):
		return "; name a private key (identity) for ssh"
	case strings.Contains(text, "valid known_hosts file"):
		return "; " + scan(m.url)
	case strings.Contains(text, "Proxy Authentication Required"):
		return "; check the proxy's username and password"
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "; name its certificate authority (ca.crt)"
	case strings.Contains(text, "tls: certificate required"), strings.Contains(text, "tls: bad certificate"), strings.Contains(text, "tls: unknown certificate"), strings.Contains(text, "remote error: tls: handshake failure"):
		return "; the server asks for a client certificate that it knows (tls.crt and tls.key)"
	}
	return ""
}

// refused tells what a server, or davit itself, decided about the access from a server that can't be reached.
func refused(err error) bool {
	if errors.As(err, new(*accessError)) {
		return true
	}
	text := err.Error()
	for _, said := range []string{"ssh: unable to authenticate", "Proxy Authentication Required", "x509: ", "remote error: tls: ", "SSH_AUTH_SOCK", "valid known_hosts file"} {
		if strings.Contains(text, said) {
			return true
		}
	}
	return false
}

func scan(remote string) string {
	endpoint, err := transport.NewEndpoint(remote)
	if err != nil {
		return "make it with ssh-keyscan"
	}
	port := ""
	if endpoint.Port != 0 && endpoint.Port != gitssh.DefaultPort {
		port = fmt.Sprintf("-p %d ", endpoint.Port)
	}
	return fmt.Sprintf("make it with ssh-keyscan %s%s > known_hosts, and hold it against the fingerprints that the host publishes", port, strings.Trim(endpoint.Host, "[]"))
}
