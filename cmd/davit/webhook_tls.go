package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/davit-dev/davit/gitops"
)

// certificate is a pair of files by which a server is known, and what was read of them last.
type certificate struct {
	cert, key string
	now       atomic.Pointer[tls.Certificate]
}

// openCertificate reads the files; it is nil where none is named.
func openCertificate(cert, key string) (*certificate, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usage{errors.New("--webhook-cert and --webhook-key go together")}
	}
	c := &certificate{cert: cert, key: key}
	return c, c.read()
}

func (c *certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("reading the certificate in %s and its key in %s: %w", c.cert, c.key, err)
	}
	c.now.Store(&pair)
	return nil
}

// config has every connection made with what the files had last.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }}
}

// follow reads the files whenever they change, until ctx ends. A pair that does not fit leaves the one before in use.
func (c *certificate) follow(ctx context.Context, log *slog.Logger) {
	_ = gitops.WatchFiles(ctx, []string{c.cert, c.key}, func() {
		if err := c.read(); err != nil {
			log.Error("the webhooks' certificate stays as it was", "error", err)
			return
		}
		log.Info("the webhooks' certificate was replaced", "file", c.cert)
	})
}

// over has webhooks received over https where files are named, and follows these until stop is called.
func (h *hooks) over(ctx context.Context, cert, key string, log *slog.Logger) (stop func(), err error) {
	c, err := openCertificate(cert, key)
	if err != nil || c == nil {
		return func() {}, err
	}
	h.tls = c.config()
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { c.follow(ctx, log) })
	return func() {
		cancel()
		following.Wait()
	}, nil
}
