package gitops

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// serveSSH serves a folder's repositories over ssh with the real git, to a key in an agent of the test's own. A command
// for which deny has words fails with them.
func serveSSH(t *testing.T, deny func(command string) string) (url string) {
	t.Helper()
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	_, userKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	listen := func(network, address string, serve func(net.Conn)) net.Listener {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c)
			}
		}()
		return l
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: userKey}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listen("unix", socket, func(c net.Conn) { _ = agent.ServeAgent(keys, c) })
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	cfg.AddHostKey(host)
	l := listen("tcp", "127.0.0.1:0", func(c net.Conn) {
		_, channels, requests, err := ssh.NewServerConn(c, cfg)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for ch := range channels {
			go runSSH(ch, deny)
		}
	})
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte(knownhosts.Line([]string{l.Addr().String()}, host.PublicKey())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	t.Setenv("SSH_KNOWN_HOSTS", known)
	return "ssh://git@" + l.Addr().String()
}

func runSSH(open ssh.NewChannel, deny func(command string) string) {
	ch, requests, err := open.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for req := range requests {
		if req.Type != "exec" {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		command := string(req.Payload[4:])
		code := 0
		if said := deny(command); said != "" {
			fmt.Fprintln(ch.Stderr(), said)
			code = 1
		} else {
			cmd := exec.Command("sh", "-c", command)
			cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
			cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
			in, _ := cmd.StdinPipe()
			go func() {
				_, _ = io.Copy(in, ch)
				in.Close()
			}()
			if err := cmd.Run(); err != nil {
				code = 1
			}
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
		return
	}
}

// TestPushSSH: outcomes and proposals over ssh, and a deploy key that may only read.
func TestPushSSH(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	readOnly := false
	url := serveSSH(t, func(command string) string {
		if readOnly && strings.HasPrefix(command, "git-receive-pack") {
			return "ERROR: The key you are authenticating with has been marked as read only."
		}
		return ""
	}) + r.dir
	s := open(t, Config{URL: url, Mirror: t.TempDir()})
	other := open(t, Config{URL: url, Mirror: t.TempDir()})
	n, late := s.NewNotes(davit, nil), other.NewNotes(davit, nil)
	n.Add(ParseHash(first), healthy("production/iris", 1))
	flush(t, n)
	late.Add(ParseHash(first), healthy("production/iris", 2))
	flush(t, late)
	r.same()
	p := Proposal{Branch: "davit/x", Base: ParseHash(first), Files: []FileChange{{Path: "a", Content: []byte("2")}}, Author: davit, Message: "x"}
	h, err := s.Propose(t.Context(), p)
	if err != nil || r.git("rev-parse", p.Branch) != h.String() {
		t.Fatal(err)
	}
	readOnly = true
	n.Add(ParseHash(first), healthy("production/iris", 3))
	if err := n.Flush(t.Context()); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "marked as read only") {
		t.Error(err)
	}
	if err := s.DeleteBranch(t.Context(), p.Branch, h); !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	readOnly = false
	if err := s.DeleteBranch(t.Context(), p.Branch, h); err != nil {
		t.Error(err)
	}
	flush(t, n)
	if got := r.noted("davit", first); len(got) != 3 {
		t.Errorf("%q", got)
	}
}
