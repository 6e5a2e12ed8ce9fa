package gitops

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"
)

// signedCommits are commits signed by an SSH and by an OpenPGP key, their payloads, and the keys as signers.
func signedCommits(f *testing.F) (commits [][]byte, payloads []string, signers *Signers) {
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	tree, parent := ParseHash(strings.Repeat("a", 40)), ParseHash(strings.Repeat("b", 40))
	author := Author{Name: "Ada", Email: "ada@example.com", Key: key}
	bySSH, err := author.encode(tree, []Hash{parent}, time.Unix(1_790_000_000, 0), "v2 to production\n\nbecause")
	if err != nil {
		f.Fatal(err)
	}
	author.Key = nil
	plain, err := author.encode(tree, []Hash{parent, tree}, time.Unix(1_790_000_000, 0), "v3")
	if err != nil {
		f.Fatal(err)
	}
	entity, err := openpgp.NewEntity("Ada", "", "ada@example.com", nil)
	if err != nil {
		f.Fatal(err)
	}
	var armored bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&armored, entity, bytes.NewReader(plain), nil); err != nil {
		f.Fatal(err)
	}
	header, message, _ := strings.Cut(string(plain), "\n\n")
	byPGP := header + "\ngpgsig " + strings.ReplaceAll(strings.TrimSpace(armored.String()), "\n", "\n ") + "\n\n" + message
	for _, c := range [][]byte{bySSH, []byte(byPGP)} {
		payload, signature, err := splitSignature(c)
		if err != nil || len(signature) == 0 {
			f.Fatalf("%q, %v", signature, err)
		}
		commits, payloads = append(commits, c), append(payloads, string(payload))
	}
	if payloads[1] != string(plain) {
		f.Fatalf("signed %q, read %q", plain, payloads[1])
	}
	return commits, payloads, &Signers{ssh: []sshSigner{{principals: "ada", key: key.PublicKey().Marshal()}}, pgp: openpgp.EntityList{entity}}
}

// FuzzSignature changes signed commits: a signature counts for what was signed and nothing else, and what davit reads of the
// commit is what was signed.
func FuzzSignature(f *testing.F) {
	commits, signed, signers := signedCommits(f)
	for _, c := range commits {
		f.Add(c)
		f.Add(bytes.Replace(c, []byte("\ncommitter"), []byte("\n tree "+strings.Repeat("c", 40)+"\ncommitter"), 1))
		f.Add(bytes.Replace(c, []byte("\n\n"), []byte("\n \ntree "+strings.Repeat("c", 40)+"\n\n"), 1))
		f.Add(bytes.Replace(c, []byte("gpgsig "), []byte("gpgsig-sha256 x\ngpgsig "), 1))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		payload, signature, err := splitSignature(raw)
		if err != nil || len(signature) == 0 {
			return
		}
		verified := false
		for _, verify := range []func(payload, armored []byte) (string, error){
			func(p, a []byte) (string, error) { return signers.verifySSH(p, a, time.Unix(1_790_000_000, 0)) }, signers.verifyPGP,
		} {
			name, err := verify(payload, signature)
			if verified = verified || err == nil; err == nil && name == "" {
				t.Error("signed by nobody")
			}
		}
		if verified && !strings.Contains(strings.Join(signed, "\x00"), string(payload)) {
			t.Fatalf("it counts for %q", payload)
		}
		whole, tree, err := parseCommit(Hash{}, raw)
		if err != nil {
			return
		}
		read, signedTree, err := parseCommit(Hash{}, payload)
		if err != nil || tree != signedTree || !reflect.DeepEqual(whole, read) {
			t.Errorf("read %v %+v, signed is %v %+v, %v", tree, whole, signedTree, read, err)
		}
	})
}

// FuzzSigners: a key counts only when the text has it, in the time that the text gives it, and what is read can be written
// and read again.
func FuzzSigners(f *testing.F) {
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public())
	if err != nil {
		f.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	f.Add("ada@example.com " + line + " a comment\n# another\n")
	f.Add(`ada namespaces="git,file",valid-after="20260101Z",valid-before="202701011200" ` + line)
	f.Add(`ada namespaces="file" ` + line)
	f.Add("ada cert-authority " + line)
	f.Add("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\nada " + line)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSigners(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, k := range s.ssh {
			encoded := base64.StdEncoding.EncodeToString(k.key)
			if !strings.Contains(text, strings.TrimRight(encoded, "=")) {
				t.Errorf("%s is not in %q", encoded, text)
			}
			public, err := ssh.ParsePublicKey(k.key)
			if err != nil {
				t.Fatal(err)
			}
			again.WriteString(k.principals + ` namespaces="git"`)
			for name, at := range map[string]time.Time{"valid-after": k.after, "valid-before": k.before} {
				if !at.IsZero() {
					fmt.Fprintf(&again, `,%s="%s"`, name, at.Format("20060102150405"))
				}
			}
			fmt.Fprintf(&again, " %s", ssh.MarshalAuthorizedKey(public))
		}
		if len(s.ssh) == 0 {
			return
		}
		if read, err := ParseSigners(again.String()); err != nil || !reflect.DeepEqual(read.ssh, s.ssh) {
			t.Errorf("%q reads as %+v, and %q as %+v, %v", text, s.ssh, again.String(), read, err)
		}
	})
}
