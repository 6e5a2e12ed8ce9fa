package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Author is who davit commits as, as author and committer. With a Key its commits are signed as git does with
// gpg.format=ssh; without, they are not signed.
type Author struct {
	Name, Email string
	Key         ssh.Signer
}

// ParseKey reads an OpenSSH or PEM private key for Author. Errors never hold a part of it.
func ParseKey(pem []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, errors.New("reading a signing key: it is protected by a passphrase; make one without (ssh-keygen -p -N '')")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a signing key: %w; want a private key as ssh-keygen writes it", err)
	}
	return key, nil
}

// encode writes a commit object, signed when there is a key.
func (a Author) encode(tree Hash, parents []Hash, when time.Time, message string) ([]byte, error) {
	var header bytes.Buffer
	fmt.Fprintf(&header, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&header, "parent %s\n", p)
	}
	who := fmt.Sprintf("%s <%s> %d +0000", ident(a.Name), ident(a.Email), when.Unix())
	fmt.Fprintf(&header, "author %s\ncommitter %s\n", who, who)
	body := "\n" + strings.TrimSpace(strings.ReplaceAll(message, "\x00", "")) + "\n"
	if a.Key == nil {
		return append(header.Bytes(), body...), nil
	}
	signature, err := sshsig.Sign(strings.NewReader(header.String()+body), a.Key, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("signing a commit: %w", err)
	}
	armored := strings.TrimSpace(string(sshsig.Armor(signature)))
	fmt.Fprintf(&header, "gpgsig %s\n", strings.ReplaceAll(armored, "\n", "\n "))
	return append(header.Bytes(), body...), nil
}

// Signers are those whose commits are the author's own; nil without a key.
func (a Author) Signers() *Signers {
	if a.Key == nil {
		return nil
	}
	return &Signers{ssh: []sshSigner{{principals: a.Email, key: a.Key.PublicKey().Marshal()}}}
}

// ident drops what would end a name in a commit's header.
func ident(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '<' || r == '>' || r < ' ' {
			return -1
		}
		return r
	}, s))
}
