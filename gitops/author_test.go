package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

var davit = Author{Name: "davit", Email: "davit@example.com"}

// signing is davit with a new key, and its line for allowed signers.
func signing(t *testing.T, typ string) (Author, string) {
	t.Helper()
	file, public := sshKey(t, typ)
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a := davit
	if a.Key, err = ParseKey(pem); err != nil {
		t.Fatal(err)
	}
	return a, davit.Email + " " + public
}

// onto commits files (name, content, ...) on a commit without publishing them.
func onto(t testing.TB, s *Source, a Author, base Hash, files ...string) (*batch, Hash) {
	t.Helper()
	b := s.newBatch()
	leaves := map[string]leaf{}
	for i := 0; i < len(files); i += 2 {
		h, err := b.add(plumbing.BlobObject, []byte(files[i+1]))
		if err != nil {
			t.Fatal(err)
		}
		leaves[files[i]] = leaf{modeFile, h}
	}
	_, tree, err := s.commit(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = b.edit(t.Context(), tree, leaves); err != nil {
		t.Fatal(err)
	}
	commit, err := b.commit(a, tree, []Hash{base}, time.Unix(1767225600, 0), "why\n\nbecause\n")
	if err != nil {
		t.Fatal(err)
	}
	return b, commit
}

// TestSign holds davit's signatures against the real git and against Verify.
func TestSign(t *testing.T) {
	for _, typ := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(typ, func(t *testing.T) {
			r := newRepo(t)
			base := ParseHash(r.commit("one", "a/b", "1"))
			a, allowed := signing(t, typ)
			a.Name = "davit\n<eve@example.com>"
			s := r.open("")
			b, commit := onto(t, s, a, base, "a/c", "2")
			if err := s.publish(t.Context(), b, refUpdate{name: "refs/heads/davit/x", new: commit}); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "allowed")
			if err := os.WriteFile(file, []byte(allowed+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := r.try("-c", "gpg.ssh.allowedSignersFile="+file, "verify-commit", "davit/x"); err != nil {
				t.Errorf("git does not accept the signature: %v\n%s", err, out)
			}
			signers, err := ParseSigners(allowed)
			if err != nil {
				t.Fatal(err)
			}
			if who, err := s.Verify(t.Context(), commit, signers); err != nil || who != davit.Email {
				t.Errorf("signed by %q, %v", who, err)
			}
			if _, err := s.Verify(t.Context(), commit, a.Signers()); err != nil {
				t.Error(err)
			}
			if got := r.git("log", "-1", "--format=%an <%ae> %cn %at %s:%b", "davit/x"); got != "daviteve@example.com <davit@example.com> daviteve@example.com 1767225600 why:because" {
				t.Errorf("git reads %s", got)
			}
			r.git("fsck", "--strict")
		})
	}
}

func TestParseKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	tool(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "sesame", "-f", file)
	locked, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{string(locked): "passphrase", "pl4nted-signing": "private key as ssh-keygen writes it"} {
		if _, err := ParseKey([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
