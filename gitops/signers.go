package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Signers are the keys whose signature on a commit counts. They may be used concurrently.
type Signers struct {
	ssh []sshSigner
	pgp openpgp.EntityList
}

type sshSigner struct {
	principals    string
	key           []byte
	after, before time.Time
}

// UnsignedError says why a commit is not one of the signers'.
type UnsignedError struct {
	Commit Hash
	Why    string
}

func (e *UnsignedError) Error() string { return fmt.Sprintf("commit %.12s %s", e.Commit, e.Why) }

var pgpBlock = regexp.MustCompile(`(?s)-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----`)

// ParseSigners reads keys as people have them: lines of an allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS), and
// armored OpenPGP public keys among them. Options other than namespaces, valid-after and valid-before are refused:
// to overlook one could let somebody in.
func ParseSigners(text string) (*Signers, error) {
	s := &Signers{}
	for _, block := range pgpBlock.FindAllString(text, -1) {
		keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(block))
		if err != nil {
			return nil, fmt.Errorf("reading an OpenPGP key: %w", err)
		}
		s.pgp = append(s.pgp, keys...)
	}
	for i, line := range strings.Split(pgpBlock.ReplaceAllString(text, ""), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		signer, err := parseSSH(line)
		if err != nil {
			return nil, fmt.Errorf("reading line %d of the signers: %w", i+1, err)
		}
		if signer != nil {
			s.ssh = append(s.ssh, *signer)
		}
	}
	if len(s.ssh)+len(s.pgp) == 0 {
		return nil, errors.New("reading the signers: no key for Git's signatures among them")
	}
	return s, nil
}

// parseSSH reads a line. Nil is a key for something else than Git.
func parseSSH(line string) (*sshSigner, error) {
	principals, rest, ok := strings.Cut(line, " ")
	if !ok {
		return nil, errors.New(`want "principal key-type key"`)
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return nil, fmt.Errorf(`want "principal key-type key": %w`, err)
	}
	s := &sshSigner{principals: principals, key: key.Marshal()}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			if !slices.Contains(strings.Split(value, ","), namespace) {
				return nil, nil
			}
		case "valid-after":
			s.after, err = parseTime(value)
		case "valid-before":
			s.before, err = parseTime(value)
		default:
			err = fmt.Errorf("option %s is not supported; name each key", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// parseTime reads YYYYMMDD[HHMM[SS]][Z]. Without Z it would be the local time of wherever davit runs; it is UTC here.
func parseTime(text string) (time.Time, error) {
	text = strings.TrimSuffix(text, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(layout) == len(text) {
			return time.Parse(layout, text)
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not YYYYMMDD[HHMM[SS]]", text)
}

// namespace is what git has ssh-keygen sign commits for.
const namespace = "git"

// Verify names the signer of a commit. A commit that none of the signers signed is an *UnsignedError. The signature is
// checked over the bytes in the repository, as git does; the times of SSH keys against the committer's, of OpenPGP keys
// against the present.
func (s *Source) Verify(ctx context.Context, commit Hash, signers *Signers) (signer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	raw, err := s.store.read(plumbing.CommitObject, commit)
	if err != nil {
		return "", err
	}
	payload, signature, err := splitSignature(raw)
	if err != nil {
		return "", &UnsignedError{commit, err.Error()}
	}
	c, err := s.Commit(ctx, commit)
	if err != nil {
		return "", err
	}
	switch {
	case len(signature) == 0:
		return "", &UnsignedError{commit, "is not signed"}
	case bytes.HasPrefix(signature, []byte("-----BEGIN SSH SIGNATURE-----")):
		signer, err = signers.verifySSH(payload, signature, c.Committer.When)
	default:
		signer, err = signers.verifyPGP(payload, signature)
	}
	if err != nil {
		return "", &UnsignedError{commit, err.Error()}
	}
	return signer, nil
}

// splitSignature takes the gpgsig header out of a commit.
func splitSignature(raw []byte) (payload, signature []byte, err error) {
	header, message, _ := bytes.Cut(raw, []byte("\n\n"))
	inside := false
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		first, isFirst := bytes.CutPrefix(line, []byte("gpgsig "))
		more, isMore := bytes.CutPrefix(line, []byte(" "))
		switch {
		case isFirst && signature != nil:
			return nil, nil, errors.New("has two signatures")
		case isFirst:
			inside, signature = true, append(bytes.Clone(first), '\n')
		case isMore && inside:
			signature = append(append(signature, more...), '\n')
		default:
			inside = false
			payload = append(append(payload, line...), '\n')
		}
	}
	return append(append(payload, '\n'), message...), signature, nil
}

func (s *Signers) verifySSH(payload, armored []byte, at time.Time) (string, error) {
	signature, err := sshsig.Unarmor(armored)
	if err != nil {
		return "", fmt.Errorf("has a damaged signature: %w", err)
	}
	key := signature.PublicKey.Marshal()
	i := slices.IndexFunc(s.ssh, func(k sshSigner) bool { return bytes.Equal(k.key, key) })
	if i < 0 {
		return "", fmt.Errorf("is signed by %s, who is none of the signers", ssh.FingerprintSHA256(signature.PublicKey))
	}
	if err := sshsig.Verify(bytes.NewReader(payload), signature, signature.PublicKey, signature.HashAlgorithm, namespace); err != nil {
		return "", fmt.Errorf("has a wrong signature: %w", err)
	}
	signer := s.ssh[i]
	if !signer.after.IsZero() && at.Before(signer.after) || !signer.before.IsZero() && !at.Before(signer.before) {
		return "", fmt.Errorf("is signed by %s outside the key's time", signer.principals)
	}
	return signer.principals, nil
}

func (s *Signers) verifyPGP(payload, armored []byte) (string, error) {
	entity, err := openpgp.CheckArmoredDetachedSignature(s.pgp, bytes.NewReader(payload), bytes.NewReader(armored), nil)
	if err != nil {
		return "", fmt.Errorf("is signed by none of the signers: %w", err)
	}
	if id := entity.PrimaryIdentity(); id != nil {
		return id.Name, nil
	}
	return entity.PrimaryKey.KeyIdString(), nil
}
