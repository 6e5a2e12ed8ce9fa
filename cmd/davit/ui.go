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

// uiOptions say where the web page is, and for whom.
type uiOptions struct {
	listen string
	write  bool
	access accessOptions
}

func (o *uiOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "ui", "", "serve the web page at this address; by --ui alone at "+uiAddress)
	f.Lookup("ui").NoOptDefVal = uiAddress
	f.BoolVar(&o.write, "ui-write", false, "let the web page propose promotions and ways back, and suspend: on loopback for whoever is on this machine")
}

// pageServer is the page and what it shows.
type pageServer struct {
	fleet *fleet.Fleet
	at    net.Addr
	first *firstLook // nil for one that is asked for, and follows from the beginning

	mu    sync.Mutex
	loops map[string]*reconciler.Reconciler
}

// address is where the page is; nil where there is none.
func (s *pageServer) address() net.Addr {
	if s == nil {
		return nil
	}
	return s.at
}

// following is who shows what is followed; nil where there is no page.
func (s *pageServer) following() func(context.Context, string, *reconciler.Reconciler) func() {
	if s == nil {
		return nil
	}
	return func(ctx context.Context, name string, r *reconciler.Reconciler) func() {
		s.mu.Lock()
		s.loops[name] = r
		s.mu.Unlock()
		var end func()
		if s.first != nil {
			end = s.first.follow(ctx, s, name, r)
		} else {
			end = s.fleet.Follow(ctx, name, r)
		}
		return func() {
			end()
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.loops[name] == r {
				delete(s.loops, name)
			}
		}
	}
}

// serve begins to serve the page, if there is to be one, to whoever is at this machine by the name of me; stop ends it. away is
// web.Config's.
func (o *uiOptions) serve(ctx context.Context, me string, away func(context.Context) string, log *slog.Logger) (s *pageServer, stop func(), err error) {
	if o.listen == "" {
		return nil, func() {}, nil
	}
	s = &pageServer{fleet: fleet.New(fleet.Config{Log: log}), loops: map[string]*reconciler.Reconciler{}}
	config := web.Config{Fleet: s.fleet, Away: away, Log: log}
	if o.write {
		config.Actions = &pageActions{s}
	}
	if config.Access, err = o.access.open(s.fleet); err != nil {
		return nil, nil, err
	}
	if config.Access == nil {
		if err := loopback(o.listen); err != nil {
			return nil, nil, err
		}
		config.Local = web.User{Name: me}
	}
	page, err := web.New(config)
	if err != nil {
		return nil, nil, err
	}
	handler := http.Handler(page)
	if away != nil && config.Access == nil { // a controller's, which few look at
		s.first = newFirstLook()
		handler = s.first.before(s, page)
	}
	certificate, unfollow, err := overTLS(ctx, "ui", o.access.cert, o.access.key, log)
	if err != nil {
		return nil, nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		unfollow()
		return nil, nil, fmt.Errorf("serving the web page: %w; --ui names another address", err)
	}
	s.at = listener.Addr()
	// No WriteTimeout: the stream of changes has no end, and bounds each of its writes itself.
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, BaseContext: func(net.Listener) context.Context { return ctx }, TLSConfig: certificate,
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		serve := server.Serve
		if certificate != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the web page is not served any more", "error", err)
		}
	})
	scheme := "http"
	if certificate != nil {
		scheme = "https"
	}
	log.Info("serving the web page", "url", scheme+"://"+listener.Addr().String())
	return s, func() {
		_ = server.Close()
		serving.Wait()
		unfollow()
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
	return usage{fmt.Errorf("--ui %q can be reached from elsewhere, and nothing says who may see what: use %s, or davit controller with --ui-oidc-issuer or --ui-user-header", address, uiAddress)}
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
