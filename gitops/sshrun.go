package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// errNoCommand is a command that an ssh host refuses, or that ends with an error there.
var errNoCommand = errors.New("the host does not run it")

// maxAnswer bounds what a command may answer.
const maxAnswer = 64 << 10

// run runs a command at an ssh host, as go-git would run its own there, and returns its output. It waits for listTimeout at
// most. Folder is one to write to.
func (a Access) run(ctx context.Context, endpoint *transport.Endpoint, folder, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	client, err := a.sshClient(ctx, endpoint, folder)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var out bounded
	session.Stdout = &out
	if err := session.Start(command); err != nil {
		if ctx.Err() == nil && !errors.Is(err, io.EOF) { // its connection stands
			err = fmt.Errorf("%w: %w", errNoCommand, err)
		}
		return nil, err
	}
	err = session.Wait()
	if errors.As(err, new(*ssh.ExitError)) || errors.As(err, new(*ssh.ExitMissingError)) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errNoCommand, err)
	}
	return out.Bytes(), err
}

// sshClient connects to a host; the connection ends with ctx.
func (a Access) sshClient(ctx context.Context, endpoint *transport.Endpoint, folder string) (*ssh.Client, error) {
	config, err := a.sshConfig(endpoint, folder)
	if err != nil {
		return nil, err
	}
	address := sshAddress(endpoint)
	if config.HostKeyCallback == nil {
		db, err := gitssh.NewKnownHostsDb()
		if err != nil {
			return nil, err
		}
		config.HostKeyCallback, config.HostKeyAlgorithms = db.HostKeyCallback(), db.HostKeyAlgorithms(address)
	}
	conn, err := dialBy(ctx, a.Proxy, "tcp", address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() }) // the handshake heeds no context
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

func (a Access) sshConfig(endpoint *transport.Endpoint, folder string) (*ssh.ClientConfig, error) {
	auth, err := a.ssh(endpoint, folder)
	if err != nil {
		return nil, err
	}
	if auth == nil {
		if auth, err = gitssh.DefaultAuthBuilder(endpoint.User); err != nil {
			return nil, err
		}
	}
	return auth.(gitssh.AuthMethod).ClientConfig()
}

// sshAddress is where go-git dials: the user's ssh_config may have another name for a host.
func sshAddress(endpoint *transport.Endpoint) string {
	host, port := strings.Trim(endpoint.Host, "[]"), endpoint.Port
	if name := gitssh.DefaultSSHConfig.Get(endpoint.Host, "Hostname"); name != "" {
		host = name
		if n, err := strconv.Atoi(gitssh.DefaultSSHConfig.Get(endpoint.Host, "Port")); err == nil {
			port = n
		}
	}
	if port <= 0 {
		port = gitssh.DefaultPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// bounded keeps no more than maxAnswer.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxAnswer {
		return 0, fmt.Errorf("it answers more than %d bytes", maxAnswer)
	}
	return b.Buffer.Write(p)
}
