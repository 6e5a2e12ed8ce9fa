package controller

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/web"
)

// serve serves the web page of the registry on a loopback port, as davit sync --ui does, until ctx ends.
func serve(ctx context.Context, name string, loop *reconciler.Reconciler, log *slog.Logger) (url string, stop func(), err error) {
	f := fleet.New(fleet.Config{Log: log})
	handler, err := web.New(web.Config{Fleet: f, Log: log})
	if err != nil {
		return "", nil, err
	}
	end := f.Follow(ctx, name, loop)
	url, closed, err := listen(ctx, handler)
	if err != nil {
		end()
		return "", nil, err
	}
	return url + "/" + name, func() {
		closed()
		end()
	}, nil
}

// listen serves at a free loopback port until stop is called.
func listen(ctx context.Context, handler http.Handler) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		<-served
	}, nil
}
