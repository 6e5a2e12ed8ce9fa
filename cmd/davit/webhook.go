package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// hooks receives webhooks at /hooks/<ModelRegistry>.
type hooks struct {
	mu       sync.RWMutex
	handlers map[string]http.Handler
	tls      *tls.Config // nil: plain http
	at       net.Addr    // nil: nowhere
}

// add handles a registry's until remove is called.
func (h *hooks) add(registry string, handler http.Handler) (remove func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[registry] = handler
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.handlers, registry)
	}
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, "/hooks/")
	h.mu.RLock()
	handler := h.handlers[name]
	h.mu.RUnlock()
	if !ok || handler == nil {
		http.NotFound(w, r)
		return
	}
	handler.ServeHTTP(w, r)
}

// serve listens until ctx ends, or close is called.
func (h *hooks) serve(ctx context.Context, address string, log *slog.Logger) (close func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	h.at = listener.Addr()
	if h.tls != nil {
		listener = tls.NewListener(listener, h.tls)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers do at the handshake
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("webhooks are not received any more", "error", err)
		}
	})
	log.Info("receiving webhooks", "address", listener.Addr().String())
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	return func() {
		stop()
		_ = server.Close()
		serving.Wait()
	}, nil
}
