package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/web"
)

// uiAddress is where the page is when nothing else is said: loopback, and so for whoever is on the machine, or may forward a
// port of the pod.
const uiAddress = "127.0.0.1:8090"

// uiOptions say where the web page is.
type uiOptions struct{ listen string }

func (o *uiOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "ui", "", "serve the web page at this address of loopback; by --ui alone at "+uiAddress)
	f.Lookup("ui").NoOptDefVal = uiAddress
}

// pageServer is the page and what it shows.
type pageServer struct{ fleet *fleet.Fleet }

// following is who shows what is followed; nil where there is no page.
func (s *pageServer) following() func(context.Context, string, *reconciler.Reconciler) func() {
	if s == nil {
		return nil
	}
	return func(ctx context.Context, name string, r *reconciler.Reconciler) func() {
		return s.fleet.Follow(ctx, name, r)
	}
}

// serve begins to serve the page, if there is to be one; stop ends it.
func (o *uiOptions) serve(ctx context.Context, log *slog.Logger) (s *pageServer, stop func(), err error) {
	if o.listen == "" {
		return nil, func() {}, nil
	}
	if err := loopback(o.listen); err != nil {
		return nil, nil, err
	}
	s = &pageServer{fleet.New(fleet.Config{Log: log})}
	handler, err := web.New(web.Config{Fleet: s.fleet, Log: log})
	if err != nil {
		return nil, nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, nil, fmt.Errorf("serving the web page: %w; --ui names another address", err)
	}
	// No WriteTimeout: the stream of changes has no end, and bounds each of its writes itself.
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the web page is not served any more", "error", err)
		}
	})
	log.Info("serving the web page", "url", "http://"+listener.Addr().String())
	return s, func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}

// loopback refuses an address that others can reach.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usage{fmt.Errorf("--ui %q is not an address: write %s", address, uiAddress)}
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usage{fmt.Errorf("--ui %q can be reached from elsewhere, and whoever reaches the page sees all of it: use %s", address, uiAddress)}
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// registryName is what the page calls a registry that has no ModelRegistry: the last part of its URL or path.
func registryName(owner string) string {
	name := strings.TrimSuffix(path.Base(strings.TrimRight(owner, "/")), ".git")
	if name = strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-"); name == "" {
		return "registry"
	}
	return name
}
