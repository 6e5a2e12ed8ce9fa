package gitops

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"crypto/tls"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/proxy"
)

// ssh is how go-git authenticates over ssh; nil leaves it the agent and the user's files. Folder is one to write to.
func (a Access) ssh(endpoint *transport.Endpoint, folder string) (transport.AuthMethod, error) {
	if len(a.Identity) == 0 && len(a.KnownHosts) == 0 {
		return nil, nil
	}
	user := endpoint.User
	if user == "" {
		user = gitssh.DefaultUsername
	}
	hosts, err := a.hosts(endpoint, folder)
	if err != nil {
		return nil, err
	}
	if len(a.Identity) == 0 {
		auth, err := gitssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, fmt.Errorf("%w; name a private key (identity) for ssh", err)
		}
		auth.HostKeyCallbackHelper = hosts
		return auth, nil
	}
	signer, err := a.signer()
	if err != nil {
		return nil, err
	}
	return &gitssh.PublicKeys{User: user, Signer: signer, HostKeyCallbackHelper: hosts}, nil
}

// signer opens the private key. Its errors hold nothing of the key.
func (a Access) signer() (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(a.Identity)
	if errors.As(err, new(*ssh.PassphraseMissingError)) {
		if a.Passphrase == "" {
			return nil, errors.New("the private key (identity) has a passphrase; give it as password, or make a key without (ssh-keygen -p -N '')")
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(a.Identity, []byte(a.Passphrase)); err != nil {
			return nil, errors.New("the private key (identity) is not opened by the passphrase (password)")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the private key (identity): %w; want one as ssh-keygen writes it", err)
	}
	return signer, nil
}

// hosts checks the server's key. known_hosts goes through a file, for that is all that the library reads; nothing in it
// is secret.
func (a Access) hosts(endpoint *transport.Endpoint, folder string) (helper gitssh.HostKeyCallbackHelper, err error) {
	if len(a.KnownHosts) == 0 {
		return helper, nil
	}
	file, err := os.CreateTemp(folder, "known_hosts-")
	if err != nil {
		return helper, err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(a.KnownHosts[:len(a.KnownHosts):len(a.KnownHosts)], '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		return helper, err
	}
	db, err := knownhosts.NewDB(file.Name())
	if err != nil {
		return helper, fmt.Errorf("known_hosts: %s", strings.ReplaceAll(err.Error(), file.Name(), "line"))
	}
	port := endpoint.Port
	if port <= 0 {
		port = gitssh.DefaultPort
	}
	address := net.JoinHostPort(strings.Trim(endpoint.Host, "[]"), strconv.Itoa(port))
	helper.HostKeyAlgorithms = db.HostKeyAlgorithms(address)
	check := db.HostKeyCallback()
	helper.HostKeyCallback = func(host string, at net.Addr, key ssh.PublicKey) error {
		return explainHost(check(host, at, key), endpoint, host, key)
	}
	return helper, nil
}

// explainHost says what is wrong with a server's key and what to do.
func explainHost(err error, endpoint *transport.Endpoint, host string, key ssh.PublicKey) error {
	shown := fmt.Sprintf("%s's key %s %s", host, key.Type(), ssh.FingerprintSHA256(key))
	switch {
	case err == nil:
		return nil
	case knownhosts.IsHostKeyChanged(err):
		return &accessError{fmt.Errorf("%s is not the one in known_hosts: somebody is in between, or the host has a new key; if it has, %s", shown, scan(endpoint.String()))}
	case knownhosts.IsHostUnknown(err):
		return &accessError{fmt.Errorf("%s is not in known_hosts; %s", shown, scan(endpoint.String()))}
	}
	return &accessError{fmt.Errorf("%s: %w", shown, err)}
}

// The names under which go-git finds the dialer below. They are davit's own, so that nobody else's are replaced.
const (
	connectHTTP  = "davit-connect-http"
	connectHTTPS = "davit-connect-https"
)

// registerConnect makes http proxies known to the library by which go-git dials. It holds nothing: each proxy comes with
// its own address and credentials.
var registerConnect = sync.OnceFunc(func() {
	dialer := func(to *url.URL, _ proxy.Dialer) (proxy.Dialer, error) { return connectDialer{to}, nil }
	proxy.RegisterDialerType(connectHTTP, dialer)
	proxy.RegisterDialerType(connectHTTPS, dialer)
})

// sshProxy is the proxy as go-git is told of it.
func (a Access) sshProxy() (o transport.ProxyOptions) {
	if a.Proxy == nil {
		return o
	}
	through := *a.Proxy
	through.User = nil
	switch through.Scheme {
	case "http":
		through.Scheme = connectHTTP
	case "https":
		through.Scheme = connectHTTPS
	}
	o.URL = through.String()
	if a.Proxy.User != nil {
		o.Username = a.Proxy.User.Username()
		o.Password, _ = a.Proxy.User.Password()
	}
	return o
}

// connectDialer dials through an http proxy by CONNECT (RFC 9110, 9.3.6).
type connectDialer struct{ to *url.URL }

func (d connectDialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d connectDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.reach(ctx, network)
	if err != nil {
		return nil, fmt.Errorf("reaching the proxy: %w", err)
	}
	if err := d.connect(conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d connectDialer) reach(ctx context.Context, network string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	port := d.to.Port()
	if d.to.Scheme == connectHTTP {
		if port == "" {
			port = "80"
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(d.to.Hostname(), port))
	}
	if port == "" {
		port = "443"
	}
	return (&tls.Dialer{}).DialContext(ctx, network, net.JoinHostPort(d.to.Hostname(), port))
}

// connect asks the proxy for the way. An ssh server speaks first, so what was read behind the answer would be lost: it is
// read byte by byte.
func (d connectDialer) connect(conn net.Conn, address string) error {
	if err := conn.SetDeadline(time.Now().Add(listTimeout)); err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := d.to.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("asking the proxy: %w", err)
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
	if err != nil {
		return fmt.Errorf("reading the proxy's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy refuses %s: %s", address, res.Status)
	}
	return conn.SetDeadline(time.Now().Add(fetchTimeout)) // go-git's handshake heeds no context
}

// oneByte reads no more than it is asked to look at.
type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(1, len(p))]) }
