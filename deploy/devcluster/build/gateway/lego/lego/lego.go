// Package lego would be the client. None can be made.
package lego

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is the authority that would be asked if none is named.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Config is a client's.
type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         struct{ Timeout time.Duration }
}

// NewConfig is an empty one, whoever's it is.
func NewConfig(any) *Config { return &Config{} }

// Client is what Traefik would call.
type Client struct {
	Challenge interface {
		SetDNS01Provider(challenge.Provider, ...dns01.Option) error
		SetHTTP01Provider(challenge.Provider, ...http01.Option) error
		SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error
	}
	Certificate interface {
		Obtain(context.Context, certificate.ObtainRequest) (*certificate.Resource, error)
		Renew(context.Context, certificate.Resource, *certificate.RenewOptions) (*certificate.Resource, error)
	}
	Registration interface {
		Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error)
		RegisterWithExternalAccountBinding(context.Context, registration.RegisterEABOptions) (*acme.ExtendedAccount, error)
	}
}

// NewClient fails always.
func NewClient(*Config) (*Client, error) { return nil, errors.ErrUnsupported }

// CreateCertPool fails always.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errors.ErrUnsupported }
