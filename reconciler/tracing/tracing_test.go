package tracing_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/davit-dev/davit/reconciler/tracing"
)

// log is one that is read while it is written.
type log struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *log) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.out.String(), "\n")
}

// TestCollectorDown: one that refuses, and one that takes connections and never answers, hold neither spans nor the end of
// the process up, and are a line of log, not one for each batch.
func TestCollectorDown(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refuses, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuses.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "2000") // for each batch of 512: all would take over a minute
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")
	for name, at := range map[string]string{"silent": silent.Addr().String(), "refuses": refuses.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+at)
			out := &log{}
			provider, err := tracing.New(t.Context(), "v0", slog.New(slog.NewTextHandler(out, nil)))
			if err != nil {
				t.Fatal(err)
			}
			tracer := provider.Tracer(tracing.Name)
			began := time.Now()
			for range 20_000 { // ten times what the queue of spans holds
				_, span := tracer.Start(t.Context(), "release")
				span.End()
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("20,000 spans took %s", took)
			}
			for began := time.Now(); out.lines() == 0; time.Sleep(10 * time.Millisecond) {
				if time.Since(began) > time.Minute {
					t.Fatal("the log does not say that spans are not sent")
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began = time.Now()
			_ = provider.Shutdown(ctx) // with or without what is left
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("the end waits %s for a collector that is down", took)
			}
			if n := out.lines(); n != 1 {
				t.Errorf("%d lines of log", n)
			}
		})
	}
}

// TestCommitsTrace: what processes do for one commit is one trace, found by the commit's hash.
func TestCommitsTrace(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for range 2 {
		provider, err := tracing.New(t.Context(), "v0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, span := provider.Tracer(tracing.Name).Start(tracing.WithCommit(t.Context(), commit), "commit", trace.WithNewRoot())
		if got := span.SpanContext().TraceID().String(); got != commit[:32] {
			t.Errorf("trace %s of commit %s", got, commit)
		}
	}
	for _, short := range []string{"", "0123", "00000000000000000000000000000000" + "01234567", "no hash"} {
		if id, ok := tracing.ID(short); ok {
			t.Errorf("%q is trace %s", short, id)
		}
	}
}
