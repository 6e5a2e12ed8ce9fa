package gitops

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool runs a program that is asked for keys and signatures.
func tool(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

func sshKey(t *testing.T, typ string) (private, public string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	tool(t, nil, "ssh-keygen", "-q", "-t", typ, "-N", "", "-f", file)
	data, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(data))
}

// TestVerify holds signatures that the real git made, and what was done to them, against signers.
func TestVerify(t *testing.T) {
	gnupg := t.TempDir()
	t.Setenv("GNUPGHOME", gnupg)
	tool(t, nil, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "Grace <grace@example.com>", "ed25519", "sign", "never")
	armored := tool(t, nil, "gpg", "--armor", "--export", "grace@example.com")
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", gnupg, "--kill", "all").Run() })
	ada, adaPublic := sshKey(t, "ed25519")
	rsa, rsaPublic := sshKey(t, "rsa")
	eve, _ := sshKey(t, "ed25519")
	signers := "# who may release\nada@example.com,ada " + adaPublic + "\n" + armored + "\nrsa@example.com " + rsaPublic + "\n"

	r := newRepo(t)
	ssh := func(key string) []string {
		return []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + key, "commit", "-q", "--allow-empty", "-S", "-m", "signed\n\ngpgsig is a word here"}
	}
	for name, c := range map[string]struct {
		commit  []string
		signers string
		want    string // the signer, or what the error says
	}{
		"ssh":            {ssh(ada), signers, "ada@example.com,ada"},
		"ssh-rsa":        {ssh(rsa), signers, "rsa@example.com"},
		"openpgp":        {[]string{"-c", "user.signingkey=grace@example.com", "commit", "-q", "--allow-empty", "-S", "-m", "signed"}, signers, "Grace <grace@example.com>"},
		"another-key":    {ssh(eve), signers, "none of the signers"},
		"unsigned":       {[]string{"commit", "-q", "--allow-empty", "-m", "no signature"}, signers, "is not signed"},
		"in-its-time":    {ssh(ada), `ada valid-after="20241231",valid-before="20250102" ` + adaPublic, "ada"},
		"after-its-time": {ssh(ada), `ada valid-before="20240601" ` + adaPublic, "outside the key's time"},
		"openpgp-alone":  {ssh(ada), armored, "none of the signers"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.git(c.commit...)
			allowed, err := ParseSigners(c.signers)
			if err != nil {
				t.Fatal(err)
			}
			src := open(t, Config{URL: r.dir})
			tip, err := src.Tip(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			who, err := src.Verify(t.Context(), tip, allowed)
			var unsigned *UnsignedError
			if who != c.want && (!errors.As(err, &unsigned) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("signer %q, error %v, want %q", who, err, c.want)
			}
		})
	}

	r.t = t
	allowed, err := ParseSigners(signers)
	if err != nil {
		t.Fatal(err)
	}
	r.git(ssh(ada)...)
	raw := r.git("cat-file", "commit", "HEAD") + "\n"
	forge := func(name, text string) {
		file := filepath.Join(t.TempDir(), "commit")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		hash := r.git("hash-object", "-t", "commit", "-w", "--literally", file)
		if who, err := open(t, Config{URL: r.dir}).Verify(t.Context(), ParseHash(hash), allowed); err == nil {
			t.Errorf("%s: taken for %s's", name, who)
		}
	}
	forge("another message", strings.Replace(raw, "is a word", "was a word", 1))
	forge("another header", strings.Replace(raw, "gpgsig ", "note x\ngpgsig ", 1))
	forge("two signatures", strings.Replace(raw, "gpgsig ", "gpgsig none\ngpgsig ", 1))
	forge("a damaged signature", strings.Replace(raw, "\n U1NIU0lH", "\n V1NIU0lH", 1))

	for text, want := range map[string]string{
		"":                                   "no key",
		"ada":                                "want",
		"ada x":                              "want",
		`ada namespaces="file" ` + adaPublic: "no key",
		"*.example.com cert-authority " + adaPublic: "cert-authority is not supported",
	} {
		if _, err := ParseSigners(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSigners(%q): %v, want %q", text, err, want)
		}
	}
}
