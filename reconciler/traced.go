package reconciler

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/tracing"
	"github.com/davit-dev/davit/render"
)

// traceCommit begins the span of a commit that is being followed. Its trace is the commit's, in every process.
func (r *Reconciler) traceCommit(ctx context.Context, commit gitops.Hash) (context.Context, func(error)) {
	if r.cfg.Tracer == nil {
		return ctx, func(error) {}
	}
	ctx, span := r.cfg.Tracer.Start(tracing.WithCommit(ctx, commit.String()), "commit", trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("davit.commit", commit.String()), attribute.String("davit.registry", gitops.Redact(r.cfg.Owner))))
	return ctx, finish(span)
}

// traceRelease begins the span of a release's way, in its commit's trace. A rollback is in that of the commit that
// failed, and linked with what failed; of what an earlier process began this is the rest.
func (r *Reconciler) traceRelease(ctx context.Context, want *desired, s *state, t *target, w *way, resumed bool) trace.Span {
	if r.cfg.Tracer == nil {
		return trace.SpanFromContext(context.Background())
	}
	name, commit := "release", t.commit.String()
	facts := []attribute.KeyValue{
		attribute.String("davit.environment", s.key.Environment), attribute.String("davit.release", s.key.Name),
		attribute.String("davit.commit", commit), attribute.String("davit.version", t.release.ModelVersion.Name),
		attribute.Bool("davit.resumed", resumed),
	}
	if s.release != nil && s.release.Status.Healthy.Version != "" {
		facts = append(facts, attribute.String("davit.version.from", s.release.Status.Healthy.Version))
	}
	options := []trace.SpanStartOption{trace.WithAttributes(facts...)}
	if t.rollback {
		name, commit = "rollback", s.release.Status.Held.Commit
		if s.failed.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: s.failed}))
		}
	} else if !resumed {
		options = append(options, trace.WithTimestamp(w.seen))
	}
	ctx = tracing.WithCommit(trace.ContextWithSpan(ctx, nil), commit)
	if id, _ := tracing.ID(commit); want.span.TraceID() == id {
		ctx = trace.ContextWithRemoteSpanContext(ctx, want.span)
	}
	ctx, span := r.cfg.Tracer.Start(ctx, name, options...)
	if !resumed && !t.rollback { // what is gone on with was in no queue of this process before it began
		_, waited := r.cfg.Tracer.Start(ctx, "queue", trace.WithTimestamp(w.seen))
		waited.End()
	}
	return span
}

// stage begins a stage of what ctx traces; its end gets the error it ended with. It costs a look into ctx when nothing is
// traced.
func stage(ctx context.Context, name string, facts ...attribute.KeyValue) (context.Context, func(error, ...attribute.KeyValue)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	ctx, span := parent.TracerProvider().Tracer(tracing.Name).Start(ctx, name, trace.WithAttributes(facts...))
	return ctx, func(err error, more ...attribute.KeyValue) {
		span.SetAttributes(more...)
		finish(span)(err)
	}
}

func finish(span trace.Span) func(error) {
	return func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End(trace.WithTimestamp(time.Now()))
	}
}

// snapshot, objects and changed are stages of a commit's way that are one call each.
func (r *Reconciler) snapshot(ctx context.Context, tip gitops.Hash) (s *gitops.Snapshot, err error) {
	ctx, traced := stage(ctx, "snapshot")
	defer func() { traced(err) }()
	return r.cfg.Source.Snapshot(ctx, tip)
}

func (r *Reconciler) objects(ctx context.Context, t *target, image string) (out *render.Output, err error) {
	_, traced := stage(ctx, "objects")
	defer func() { traced(err) }()
	return r.renderer.Release(t.snapshot, t.release, image)
}

// changed counts the objects that an apply changed.
func changed(changes cluster.ChangeSet) (n int) {
	for _, c := range changes.Changes {
		if c.Action != cluster.Unchanged {
			n++
		}
	}
	return n
}
