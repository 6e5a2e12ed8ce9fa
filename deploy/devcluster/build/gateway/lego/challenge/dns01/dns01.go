// Package dns01 is the challenge by a record in the DNS.
package dns01

import (
	"strings"
	"time"
)

// Options are its client's.
type Options struct{ RecursiveNameservers []string }

// Client is its client.
type Client struct{}

// Option is one of the challenge's.
type Option struct{}

// NewClient returns a client that asks nobody.
func NewClient(*Options) *Client { return nil }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// CondOptions is no option.
func CondOptions(bool, ...Option) (none Option) { return }

// DisableAuthoritativeNssPropagationRequirement is no option.
func DisableAuthoritativeNssPropagationRequirement() (none Option) { return }

// DisableRecursiveNSsPropagationRequirement is no option.
func DisableRecursiveNSsPropagationRequirement() (none Option) { return }

// PropagationWait is no option.
func PropagationWait(time.Duration, bool) (none Option) { return }

// UnFqdn is the name without a dot at its end. Traefik uses it on domains without certificates too.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
