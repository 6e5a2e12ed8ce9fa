package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/registry"
)

// Approval is one person's word, in one role, that a release may go to a version. It is one file,
// approvals/<env>/<release>/<version>/<role>.<12 hex digits of the key's fingerprint>.yaml, signed as ssh-keygen -Y sign
// does (PROTOCOL.sshsig of OpenSSH) in a namespace of its own: no signature of a commit or a file is one.
type Approval struct {
	Release registry.Key
	Version string
	Role    string
	// By is what the approver calls themselves; who they are the key says.
	By string
	At time.Time
	// Digest is the [Digest] of what they saw.
	Digest string
}

// approvalSpec is the file's spec. Release and version are in its place, and in what is signed.
type approvalSpec struct {
	Role      string          `yaml:"role"`
	By        string          `yaml:"by"`
	At        registry.Moment `yaml:"at"`
	Digest    string          `yaml:"digest"`
	Signature string          `yaml:"signature"`
}

const (
	// approvalNamespace is what an approval is signed for.
	approvalNamespace = "davit-approval"
	// maxApproval bounds a file; a signature by RSA of 16,384 bits has 6 KB.
	maxApproval = 16 << 10
	maxBy       = 200
)

var (
	digestHex    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	approvalName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[0-9a-f]{12}\.yaml$`)
)

// ApprovalsDir is the folder of the approvals of a release at a version.
func ApprovalsDir(key registry.Key, version string) string {
	return path.Join("approvals", key.Environment, key.Name, version)
}

// Fingerprint is what an approval's file is called by: the first 12 hex digits of the key's SHA-256.
func Fingerprint(key ssh.PublicKey) string {
	sum := sha256.Sum256(key.Marshal())
	return hex.EncodeToString(sum[:6])
}

// ParseKey reads a line of authorized_keys, such as a role's keys are.
func ParseKey(line string) (key ssh.PublicKey, comment string, err error) {
	key, comment, _, _, err = ssh.ParseAuthorizedKey([]byte(line))
	return key, comment, err
}

// Path is where the approval by a key lies.
func (a Approval) Path(key ssh.PublicKey) string {
	return path.Join(ApprovalsDir(a.Release, a.Version), a.Role+"."+Fingerprint(key)+".yaml")
}

// text is what is signed. It never changes for the same approval: quotes are ASCII, so that no newer table of characters
// writes them otherwise.
func (a Approval) text() []byte {
	return fmt.Appendf(nil, "davit approval 1\nrelease %+q\nversion %+q\nrole %+q\nby %+q\nat %s\ndigest %+q\n",
		a.Release.String(), a.Version, a.Role, a.By, a.At.UTC().Format(time.RFC3339Nano), a.Digest)
}

// Approve makes the approval of a release at its version: the file's path and text. Of a only Role, By and At are used,
// the rest is the release's. It does not ask whether the key is one of the role's. fsys is the tree r was loaded from.
func Approve(fsys fs.FS, r *registry.Release, a Approval, key ssh.Signer) (name string, text []byte, err error) {
	a.Release, a.Version, a.At = r.Key(), r.ModelVersion.Name, a.At.UTC().Truncate(time.Second)
	if a.Digest, err = Digest(fsys, r); err != nil {
		return "", nil, err
	}
	signature, err := sshsig.Sign(bytes.NewReader(a.text()), key, sshsig.HashSHA512, approvalNamespace)
	if err != nil {
		return "", nil, fmt.Errorf("signing the approval: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: Approval\nspec:\n  role: %q\n  by: %+q\n  at: %q\n  digest: %q\n  signature: |\n",
		registry.APIVersion, a.Role, a.By, a.At.Format(time.RFC3339), a.Digest)
	for line := range strings.Lines(string(sshsig.Armor(signature))) {
		b.WriteString("    " + line)
	}
	name = a.Path(key.PublicKey())
	read, faults := parseApproval(name, []byte(b.String()))
	if len(faults) > 0 {
		return "", nil, fmt.Errorf("approving %s: %s", r.Key(), faults[0].Text)
	}
	return name, []byte(b.String()), read.verify(key.PublicKey())
}

// signed is an approval as a file has it.
type signed struct {
	Approval
	signature string
}

// verify says why an approval is not the one that a key signed.
func (s *signed) verify(key ssh.PublicKey) error {
	signature, err := sshsig.Unarmor([]byte(s.signature))
	if err != nil || !strings.HasPrefix(s.signature, "-----BEGIN SSH SIGNATURE-----\n") { // what is before it would be passed over
		return errors.New("its signature is damaged")
	}
	if !bytes.Equal(signature.PublicKey.Marshal(), key.Marshal()) {
		return errors.New("it is signed by another key than its name says")
	}
	if err := sshsig.Verify(bytes.NewReader(s.text()), signature, key, signature.HashAlgorithm, approvalNamespace); err != nil {
		return errors.New("its signature is not of what it says, or was made for something else")
	}
	return nil
}

// CheckApproval tells what is wrong with the file of an approval whatever it approves: that it does not parse, or lies
// where none is looked for.
func CheckApproval(fsys fs.FS, name string) ([]registry.Fault, error) {
	_, faults, err := readApproval(fsys, name)
	return faults, err
}

// parseApproval reads a file by its place.
func parseApproval(name string, text []byte) (*signed, []registry.Fault) {
	fault := func(format string, args ...any) (*signed, []registry.Fault) {
		return nil, []registry.Fault{{Path: name, Line: 1, Text: fmt.Sprintf(format, args...)}}
	}
	parts := strings.Split(name, "/")
	if len(parts) != 5 || parts[0] != "approvals" || !approvalName.MatchString(parts[4]) {
		return fault("not the place of an approval, which is approvals/ENV/RELEASE/VERSION/ROLE.KEY.yaml; davit approve writes them")
	}
	if len(text) > maxApproval {
		return fault("file is %d bytes; an approval has at most %d", len(text), maxApproval)
	}
	var spec approvalSpec
	if faults := registry.Decode(name, text, "Approval", &spec); len(faults) > 0 {
		return nil, faults
	}
	role, _, _ := strings.Cut(parts[4], ".")
	switch {
	case spec.Role != role:
		return fault("role is %q and the file's name says %q; davit approve writes both", spec.Role, role)
	case spec.At.IsZero():
		return fault("spec.at is missing; davit approve writes it")
	case !digestHex.MatchString(spec.Digest):
		return fault("digest is not 64 hex digits; davit approve writes it")
	case spec.By == "" || len(spec.By) > maxBy || strings.ContainsFunc(spec.By, unprintable):
		return fault("by is not a name of at most %d bytes", maxBy)
	case spec.Signature == "":
		return fault("spec.signature is missing; davit approve writes it")
	}
	return &signed{Approval{
		Release: registry.Key{Environment: parts[1], Name: parts[2]}, Version: parts[3],
		Role: role, By: spec.By, At: spec.At.Time, Digest: spec.Digest,
	}, spec.Signature}, nil
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
}

// readApproval reads the file of an approval, of which no more is read than one has.
func readApproval(fsys fs.FS, name string) (*signed, []registry.Fault, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxApproval+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	s, faults := parseApproval(name, text)
	return s, faults, nil
}
