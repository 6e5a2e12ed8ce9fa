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
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	end := f.Follow(ctx, name, loop)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return "http://" + listener.Addr().String() + "/" + name, func() {
		_ = server.Close()
		<-served
		end()
	}, nil
}
