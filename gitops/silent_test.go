package gitops

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// falling are servers that fall silent at some point, each later than the one before. They end with the test.
var falling = map[string]func(net.Conn, *ssh.ServerConfig){
	"before its version": func(net.Conn, *ssh.ServerConfig) {},
	"after its version": func(c net.Conn, _ *ssh.ServerConfig) {
		_, _ = io.WriteString(c, "SSH-2.0-silent\r\n")
	},
	"before it opens a channel": func(c net.Conn, cfg *ssh.ServerConfig) {
		_, _, _, _ = ssh.NewServerConn(c, cfg)
	},
	"before it runs the command": func(c net.Conn, cfg *ssh.ServerConfig) {
		if _, channels, _, err := ssh.NewServerConn(c, cfg); err == nil {
			_, _, _ = (<-channels).Accept()
		}
	},
	"before it lists refs": func(c net.Conn, cfg *ssh.ServerConfig) {
		if _, channels, _, err := ssh.NewServerConn(c, cfg); err == nil {
			if _, requests, err := (<-channels).Accept(); err == nil {
				_ = (<-requests).Reply(true, nil)
			}
		}
	},
}

// silent serves by one of them, and says when a connection of a client was closed.
func silent(t *testing.T, serve func(net.Conn, *ssh.ServerConfig)) (access Access, address string, closed <-chan struct{}) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	cfg.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ended := make(chan struct{}, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				watched := &watchedConn{Conn: c, ended: ended}
				serve(watched, cfg)
				_, _ = io.Copy(io.Discard, watched)
			}()
		}
	}()
	name, port, _ := strings.Cut(l.Addr().String(), ":")
	known := "[" + name + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(host.PublicKey()))
	identity := keygen(t, filepath.Join(t.TempDir(), "key"), "")
	return Access{Identity: identity, KnownHosts: []byte(known)}, "ssh://git@" + l.Addr().String() + "/models", ended
}

// watchedConn says that the other side closed it.
type watchedConn struct {
	net.Conn
	ended chan<- struct{}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		select {
		case c.ended <- struct{}{}:
		default:
		}
	}
	return n, err
}

// TestSilentSSH: a server that accepts and falls silent, wherever, is an outage after a while, and so is its end to whoever
// stops waiting; no connection stays.
func TestSilentSSH(t *testing.T) {
	for when, serve := range falling {
		t.Run(when, func(t *testing.T) {
			t.Parallel() // they wait
			access, address, closed := silent(t, serve)
			opened := func(ctx context.Context, patience time.Duration) error {
				t.Helper()
				done := make(chan error, 1)
				go func() {
					_, err := Open(ctx, Config{URL: address, Branch: "main", Mirror: t.TempDir(), Access: fixed(access), patience: patience})
					done <- err
				}()
				limit := time.After(time.Minute)
				var err error
				select {
				case err = <-done:
				case <-limit:
					t.Fatal("it holds whoever asks")
				}
				select {
				case <-closed:
				case <-limit:
					t.Fatal("the connection stays")
				}
				return err
			}
			err := opened(t.Context(), 3*time.Second)
			if err == nil || !strings.Contains(err.Error(), "no answer in 3s") || !outage(t.Context(), err) {
				t.Errorf("%v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := opened(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("whose caller stops waiting: %v", err)
			}
		})
	}
}
