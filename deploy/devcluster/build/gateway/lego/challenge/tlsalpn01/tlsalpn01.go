// Package tlsalpn01 is the challenge by a certificate shown in a TLS handshake.
package tlsalpn01

import (
	"errors"
	"time"
)

// ACMETLS1Protocol is the handshake's protocol (RFC 8737).
const ACMETLS1Protocol = "acme-tls/1"

// Option is one of the challenge's.
type Option struct{}

// SetDelay is no option.
func SetDelay(time.Duration) (none Option) { return }

// ChallengeBlocks has no certificate to show.
func ChallengeBlocks(domain, keyAuth string) (certificate, key []byte, err error) {
	return nil, nil, errors.ErrUnsupported
}
