package gitops

import (
	"bytes"
	"slices"
	"time"
)

// Has says whether a commit of the author's, at a moment, is one of the signers'.
func (s *Signers) Has(a Author, at time.Time) bool {
	if a.Key == nil {
		return false
	}
	key := a.Key.PublicKey().Marshal()
	i := slices.IndexFunc(s.ssh, func(k sshSigner) bool { return bytes.Equal(k.key, key) }) // the first one counts, as in verifySSH
	return i >= 0 && (s.ssh[i].after.IsZero() || !at.Before(s.ssh[i].after)) && (s.ssh[i].before.IsZero() || at.Before(s.ssh[i].before))
}
