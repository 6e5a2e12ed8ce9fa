package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/rest"

	davitmetrics "github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/tracing"
)

// observeOptions say how davit tells of itself.
type observeOptions struct {
	listen      string
	format      string
	level       string
	eachRelease bool
}

func (o *observeOptions) flags(f *pflag.FlagSet, listen string) {
	f.StringVar(&o.listen, "listen", listen, "serve /metrics, /healthz and /readyz at this address; \"\" for nowhere")
	f.StringVar(&o.format, "log-format", "text", "text or json")
	f.StringVar(&o.level, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&o.eachRelease, "release-metrics", false, "a metric for each release, davit_release_info, with its version and phase")
}

// log is the process's log.
func (o *observeOptions) log(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, usage{fmt.Errorf("--log-level %q is not known; use debug, info, warn or error", o.level)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usage{fmt.Errorf("--log-format %q is not known; use text or json", o.format)}
}

// observed is what a process that follows registries is watched by.
type observed struct {
	metrics *davitmetrics.Metrics
	tracer  trace.Tracer // nil when no collector is named
	leads   atomic.Bool
}

// observe begins to serve what o says; stop sends what is left to send.
func (o *observeOptions) observe(ctx context.Context, log *slog.Logger) (v *observed, stop func(), err error) {
	v = &observed{metrics: davitmetrics.New(version())}
	if o.eachRelease {
		v.metrics.EachRelease()
	}
	flush, err := v.trace(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	if o.listen == "" {
		return v, flush, nil
	}
	unlisten, err := v.serve(ctx, o.listen, log)
	if err != nil {
		flush()
		return nil, nil, fmt.Errorf("serving metrics and probes: %w; --listen names another address, or \"\" for none", err)
	}
	return v, func() { unlisten(); flush() }, nil
}

// flushFor is how long the end of the process waits for a collector.
const flushFor = 5 * time.Second

// trace exports traces where OpenTelemetry's variables name a collector.
func (v *observed) trace(ctx context.Context, log *slog.Logger) (flush func(), err error) {
	at := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	if at == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return func() {}, nil
	}
	provider, err := tracing.New(ctx, version(), log)
	if err != nil {
		return nil, err
	}
	v.tracer = provider.Tracer(tracing.Name)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last spans are not sent", "error", err)
		}
	}, nil
}

// count has the requests of a cluster's clients counted.
func (v *observed) count(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(v.metrics.Requests)
	return config
}

// lead says that this process leads until the returned function is called.
func (v *observed) lead() (end func()) {
	v.leads.Store(true)
	v.metrics.Leading(true)
	return func() {
		v.leads.Store(false)
		v.metrics.Leading(false)
	}
}

// handler answers Prometheus and the kubelet. A replica that stands by is ready: it is there to take over.
func (v *observed) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", v.metrics.Handler())
	mux.HandleFunc("GET /healthz", probe(v.metrics.Alive))
	mux.HandleFunc("GET /readyz", probe(func() error {
		if !v.leads.Load() {
			return nil
		}
		return v.metrics.Ready()
	}))
	return mux
}

func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// serve listens until ctx ends, or stop is called.
func (v *observed) serve(ctx context.Context, address string, log *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: v.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics and probes are not served any more", "error", err)
		}
	})
	log.Info("serving metrics and probes", "address", listener.Addr().String())
	return func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}
