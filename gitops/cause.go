package gitops

import (
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// What a server, or the repository, may answer that trying again does not change. Each is one CamelCase word.
const (
	AuthenticationFailed = "AuthenticationFailed"
	RepositoryNotFound   = "RepositoryNotFound"
	AccessFailed         = "AccessFailed" // a certificate, a host key, a proxy, or what access is made from
	BranchNotFound       = "BranchNotFound"
	TagNotFound          = "TagNotFound" // the tag, or one in the range
	FolderNotFound       = "FolderNotFound"
)

// Cause is the answer that an error tells of: a person has to change something. It is empty where the server was not
// reached, or the error is another one.
func Cause(err error) string {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed),
		err != nil && strings.Contains(err.Error(), "ssh: unable to authenticate"): // x/crypto/ssh has no error of its own for it
		return AuthenticationFailed
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return RepositoryNotFound
	case errors.Is(err, errNoBranch):
		return BranchNotFound
	case errors.Is(err, errNoTag):
		return TagNotFound
	case errors.Is(err, errNoFolder):
		return FolderNotFound
	case err != nil && refused(err):
		return AccessFailed
	}
	return ""
}
