package gitops

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
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
