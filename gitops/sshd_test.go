package gitops

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// sshd is the real one of Debian's openssh-server, for the user of the test.
type sshd struct {
	url, address string
	hosts        []byte // its line of known_hosts, by ssh-keyscan
	dir          string
	bin          string // programs in it are found by what a client runs
}

// keygen makes a key pair with the real ssh-keygen.
func keygen(t *testing.T, file, passphrase string) []byte {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// runSSHD lets in whoever has the key whose public half is in authorized_keys of its folder.
func runSSHD(t *testing.T) *sshd {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("openssh-server is not installed; make deps installs it")
	}
	s := &sshd{dir: t.TempDir(), bin: t.TempDir()}
	keygen(t, filepath.Join(s.dir, "host"), "")
	var err error
	if s.address, err = devcluster.FreeAddress(); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(s.address, ":")
	config := fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s/host\nAuthorizedKeysFile %[3]s/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSetEnv PATH=%s:/usr/local/bin:/usr/bin:/bin\n", host, port, s.dir, s.bin)
	if err := os.WriteFile(filepath.Join(s.dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it separates privileges; Debian's init script makes it
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", said.String())
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if s.hosts, err = exec.Command("ssh-keyscan", "-t", "ed25519", "-p", port, host).Output(); err == nil && len(s.hosts) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not answer: %v\n%s", err, said.String())
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.url = "ssh://" + me.Username + "@" + s.address
	return s
}

// allow lets a public key in, and no other.
func (s *sshd) allow(t *testing.T, public string) {
	t.Helper()
	data, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "authorized_keys"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAccessSSH: a private key of davit's own, with and without a passphrase, and a host that is held against known_hosts.
func TestAccessSSH(t *testing.T) {
	s := runSSHD(t)
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	r := newRepo(t)
	r.commit("one", "a", "1")
	r.git("config", "receive.denyCurrentBranch", "ignore")
	keys := t.TempDir()
	plain, locked := keygen(t, filepath.Join(keys, "plain"), ""), keygen(t, filepath.Join(keys, "locked"), "open sesame")
	address := s.url + r.dir + "/.git"
	s.allow(t, filepath.Join(keys, "plain.pub"))
	roundTrip(t, r, open(t, Config{URL: address, Mirror: t.TempDir(), Access: fixed(Access{Identity: plain, KnownHosts: s.hosts})}))

	_, port, _ := strings.Cut(s.address, ":")
	other := keygenPublic(t, filepath.Join(keys, "other"))
	changed := []byte(fmt.Sprintf("[127.0.0.1]:%s %s", port, other))
	scanned := "make it with ssh-keyscan -p " + port + " 127.0.0.1 > known_hosts"
	for what, c := range map[string]struct {
		access Access
		err    string
	}{
		"unknown host":     {Access{Identity: plain, KnownHosts: []byte("git.example.com " + other)}, "is not in known_hosts; " + scanned},
		"another key":      {Access{Identity: plain, KnownHosts: changed}, "is not the one in known_hosts: somebody is in between, or the host has a new key; if it has, " + scanned},
		"no known_hosts":   {Access{Identity: plain}, scanned},
		"broken":           {Access{Identity: plain, KnownHosts: []byte("no line of it")}, "known_hosts: "},
		"not allowed":      {Access{Identity: locked, Passphrase: "open sesame", KnownHosts: s.hosts}, "check that the public half of the key"},
		"no passphrase":    {Access{Identity: locked, KnownHosts: s.hosts}, "has a passphrase; give it as password"},
		"wrong passphrase": {Access{Identity: locked, Passphrase: "pl4nted", KnownHosts: s.hosts}, "is not opened by the passphrase"},
		"no key":           {Access{Identity: []byte("pl4nted"), KnownHosts: s.hosts}, "want one as ssh-keygen writes it"},
		"nothing":          {Access{}, "name a private key (identity) for ssh"},
	} {
		_, err := Open(t.Context(), Config{URL: address, Branch: "main", Mirror: t.TempDir(), Access: fixed(c.access)})
		if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "pl4nted") || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, want %q", what, err, c.err)
		}
		if err != nil && outage(t.Context(), err) {
			t.Errorf("%s counts as an outage: %v", what, err)
		}
	}
	s.allow(t, filepath.Join(keys, "locked.pub"))
	access := Access{Identity: locked, Passphrase: "open sesame", KnownHosts: s.hosts}
	roundTrip(t, r, open(t, Config{URL: address, Mirror: t.TempDir(), Access: fixed(access)}))
	through(t, r, s, access)
}

// through reaches the same sshd by a proxy that asks for a password.
func through(t *testing.T, r *repo, s *sshd, access Access) {
	t.Helper()
	proxy, ways := forward(t, basic("through", "p:roxy"), s.address)
	proxy.User = url.UserPassword("through", "wrong")
	access.Proxy = proxy
	name, _, _ := strings.Cut(s.url, "@")
	address := name + "@git.invalid:2222" + r.dir + "/.git"
	access.KnownHosts = bytes.Replace(s.hosts, []byte("["+strings.Replace(s.address, ":", "]:", 1)), []byte("[git.invalid]:2222"), 1)
	_, err := Open(t.Context(), Config{URL: address, Branch: "main", Mirror: t.TempDir(), Access: fixed(access)})
	if err == nil || !strings.Contains(err.Error(), "check the proxy's username and password") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("the proxy's password: %v", err)
	}
	right := *proxy
	right.User = url.UserPassword("through", "p:roxy")
	access.Proxy = &right
	roundTrip(t, r, open(t, Config{URL: address, Mirror: t.TempDir(), Access: fixed(access)}))
	if ways.Load() == 0 {
		t.Error("not through the proxy")
	}
}

func keygenPublic(t *testing.T, file string) string {
	t.Helper()
	keygen(t, file, "")
	data, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
