// Package tracing sends the way of commits to an OpenTelemetry collector, by OTLP over HTTP. It knows nothing of releases
// and clusters: it has the exporter, and the ids. A trace's id is the first half of its commit's hash, so that a trace is
// found by its commit, and what several controllers and a restarted one do for the same commit is one trace.
package tracing

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Name is the instrumentation scope of davit's spans.
const Name = "github.com/davit-dev/davit"

// New makes a provider that exports as OpenTelemetry's environment variables say (OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*), which its SDK reads itself. Shutdown sends what is left.
// A collector out of reach is a line of log and holds nothing up.
func New(ctx context.Context, version string, log *slog.Logger) (*sdk.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("setting up the export of traces: %w", err)
	}
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "davit"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return sdk.NewTracerProvider(sdk.WithBatcher(&told{SpanExporter: exporter, log: log}), sdk.WithResource(res), sdk.WithIDGenerator(ids{})), nil
}

// told logs why spans are not sent, at most once a minute; the SDK tells standard error otherwise, once for each batch.
type told struct {
	sdk.SpanExporter
	log *slog.Logger
	mu  sync.Mutex
	at  time.Time
}

// ExportSpans sends spans.
func (t *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && time.Since(t.at) > time.Minute {
		t.at = time.Now()
		t.log.Warn("spans are not sent", "spans", len(spans), "error", err)
	}
	return nil // it is told
}

type commitKey struct{}

// WithCommit has a new trace bear a commit's id, given as its full hash.
func WithCommit(ctx context.Context, commit string) context.Context {
	return context.WithValue(ctx, commitKey{}, commit)
}

// ID is the trace's id of a commit; false for what is no full hash.
func ID(commit string) (id trace.TraceID, ok bool) {
	raw, err := hex.DecodeString(commit)
	if err != nil || len(raw) < len(id) {
		return id, false
	}
	copy(id[:], raw)
	return id, id.IsValid()
}

// ids makes random span ids, and the ids of commits' traces from the commits.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	commit, _ := ctx.Value(commitKey{}).(string)
	id, ok := ID(commit)
	if !ok {
		rand.Read(id[:])
	}
	return id, ids{}.NewSpanID(ctx, id)
}

func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	rand.Read(id[:])
	return id
}
