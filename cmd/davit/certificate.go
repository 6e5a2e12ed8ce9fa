package main

import (
	"context"
	"crypto/tls"
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

// openCertificate reads the files, which the flags --WHAT-cert and --WHAT-key name; it is nil where none is named.
func openCertificate(what, cert, key string) (*certificate, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usage{fmt.Errorf("--%s-cert and --%[1]s-key go together", what)}
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
			log.Error("a certificate stays as it was", "file", c.cert, "error", err)
			return
		}
		log.Info("a certificate was replaced", "file", c.cert)
	})
}

// overTLS is what a server's connections are made with where files are named, nil otherwise; the files are followed until
// stop is called.
func overTLS(ctx context.Context, what, cert, key string, log *slog.Logger) (config *tls.Config, stop func(), err error) {
	c, err := openCertificate(what, cert, key)
	if err != nil || c == nil {
		return nil, func() {}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { c.follow(ctx, log) })
	return c.config(), func() {
		cancel()
		following.Wait()
	}, nil
}
