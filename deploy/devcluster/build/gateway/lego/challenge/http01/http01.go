// Package http01 is the challenge by a file on a web server.
package http01

import "time"

// PathPrefix is the file's folder (RFC 8555, section 8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// Option is one of the challenge's.
type Option struct{}

// SetDelay is no option.
func SetDelay(time.Duration) (none Option) { return }
