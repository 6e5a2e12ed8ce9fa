package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry/gate"
)

// approver is the key to approve with: the named file's, or the one that Git signs with. Done ends what it needs.
func (a *app) approver(ctx context.Context, local *clone, file string) (key ssh.Signer, done func(), err error) {
	named := file
	if file == "" {
		format, _ := local.git(ctx, "config", "gpg.format") // unset is an exit code
		if named, _ = local.git(ctx, "config", "user.signingkey"); format != "ssh" || named == "" {
			return nil, nil, errors.New("no SSH key to sign with; name one with --key FILE, or set Git's: git config gpg.format ssh, git config user.signingkey FILE")
		}
		if literal, ok := strings.CutPrefix(named, "key::"); ok || strings.HasPrefix(named, "ssh-") {
			if !ok {
				literal = named
			}
			public, _, err := gate.ParseKey(literal)
			if err != nil {
				return nil, nil, fmt.Errorf("reading user.signingkey: %w", err)
			}
			return fromAgent(ctx, public)
		}
		if file, err = local.git(ctx, "config", "--type=path", "user.signingkey"); err != nil {
			return nil, nil, err
		}
	}
	return readKey(ctx, file)
}

// readKey is the key of a file as ssh-keygen -Y sign takes it: a private one, or a public one, which the agent has, or
// whose private one lies beside it.
func readKey(ctx context.Context, file string) (ssh.Signer, func(), error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key: %w", err)
	}
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		key, err := gitops.ParseKey(data)
		if err == nil {
			return key, func() {}, nil
		}
		// One with a passphrase, or of a security token, is the agent's to use.
		if data, beside := os.ReadFile(file + ".pub"); beside == nil {
			if public, _, parse := gate.ParseKey(string(data)); parse == nil {
				if key, done, agent := fromAgent(ctx, public); agent == nil {
					return key, done, nil
				}
			}
		}
		return nil, nil, fmt.Errorf("%s: %w; or add it to the SSH agent: ssh-add %s", file, err, file)
	}
	public, _, err := gate.ParseKey(string(data))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no SSH key, neither a private nor a public one", file)
	}
	key, done, err := fromAgent(ctx, public)
	private, isPublic := strings.CutSuffix(file, ".pub")
	if err == nil || !isPublic {
		return key, done, err
	}
	if data, beside := os.ReadFile(private); beside == nil {
		if key, parse := gitops.ParseKey(data); parse == nil {
			return key, func() {}, nil
		}
	}
	return nil, nil, err
}

// fromAgent is a key that the SSH agent holds.
func fromAgent(ctx context.Context, public ssh.PublicKey) (ssh.Signer, func(), error) {
	missing := func(err error) error {
		return fmt.Errorf("key %s: %w; ssh-add adds it, or name a private key with --key FILE", ssh.FingerprintSHA256(public), err)
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, missing(errors.New("there is no SSH agent (SSH_AUTH_SOCK)"))
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, missing(fmt.Errorf("asking the SSH agent: %w", err))
	}
	done := func() { conn.Close() }
	signers, err := agent.NewClient(conn).Signers()
	if err == nil {
		for _, s := range signers {
			if bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
				return s, done, nil
			}
		}
		err = errors.New("the SSH agent does not have it")
	}
	done()
	return nil, nil, missing(err)
}
