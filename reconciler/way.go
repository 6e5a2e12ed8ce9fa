package reconciler

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/davit-dev/davit/reconciler/tracing"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// way is what is measured and traced of a release on its way to a target. Its state's work guards it.
type way struct {
	key      string // inputKey
	rollback bool
	counts   bool      // it is a commit's, not a rollback's or a pin's
	seen     time.Time // since when its time counts
	paused   bool      // policy keeps it back
	applied  bool
	said     time.Time // when its outcome was settled on, before that is written
	span     trace.Span
	health   trace.Span // nil before its objects are applied, and when nothing is traced
}

// underWay begins the way of a release that has one to go, and gives a context in which its stages are traced.
func (r *Reconciler) underWay(ctx context.Context, want *desired, s *state, t *target) context.Context {
	synced := s.inSync(t)
	if synced && !s.unsettled(t) {
		return ctx
	}
	if w := s.way; w != nil && (w.key != t.key || w.rollback != t.rollback) {
		s.endWay(v1alpha1.Superseded, "a newer revision is asked for")
	}
	if s.way == nil {
		s.way = r.newWay(ctx, want, s, t, synced)
	}
	if w := s.way; w.paused {
		w.paused, w.seen = false, time.Now()
		w.span.AddEvent("let go on")
	}
	return trace.ContextWithSpan(ctx, s.way.span)
}

// unsettled says that what is applied has no outcome yet.
func (s *state) unsettled(t *target) bool {
	phase := s.release.Status.Phase
	return (phase == v1alpha1.Progressing || phase == v1alpha1.Waiting) && s.armed(t)
}

// newWay begins a way; of one that an earlier process began and did not see to its end, the time counts from its claim.
func (r *Reconciler) newWay(ctx context.Context, want *desired, s *state, t *target, synced bool) *way {
	resumed := synced || s.release != nil && s.release.Pending() && s.release.Spec.Claim.Commit == t.commit.String()
	w := &way{key: t.key, rollback: t.rollback, counts: !t.rollback && t.pin == nil && !t.kept, seen: t.seen}
	if resumed {
		w.applied, w.seen = synced, s.release.Spec.Claim.Time.Time
	}
	w.span = r.traceRelease(ctx, want, s, t, w, resumed)
	if synced {
		w.watchHealth(time.Now())
	}
	return w
}

// witness takes down a phase the release has come to.
func (r *Reconciler) witness(s *state, t *target) {
	st := s.release.Status
	s.stands.Store(string(st.Phase))
	w := s.way
	if w == nil {
		return
	}
	environment := s.key.Environment
	switch st.Phase {
	case v1alpha1.Progressing:
		if !w.applied && st.Reason == "Applied" {
			w.applied = true
			if w.counts {
				r.cfg.Metrics.Applied(environment, time.Since(w.seen))
			}
			w.watchHealth(time.Now())
		}
		w.said = time.Time{}
	case v1alpha1.Waiting:
		w.said = time.Time{}
		w.span.AddEvent(st.Reason, trace.WithAttributes(attribute.String("davit.message", s.said())))
	case v1alpha1.Healthy:
		if w.counts {
			r.cfg.Metrics.Healthy(environment, time.Since(w.seen))
		}
		s.endWay(st.Phase, "")
	default:
		s.endWay(st.Phase, st.Reason+": "+s.said())
	}
}

// halted takes down what kept a release back, and ends the way of one that turned out to have none to go.
func (s *state) halted(again time.Duration, err error) {
	w := s.way
	if w == nil {
		return
	}
	switch {
	case heldUp(err) || s.back.Load() != nil:
		w.paused = true
		w.span.AddEvent("kept back")
	case err != nil:
		w.span.RecordError(err)
	case again > 0 || s.release == nil || s.release.Status.Phase != v1alpha1.Healthy:
	case s.release.Status.Applied.InputKey == w.key || s.passing == w.key: // other inputs gave the same objects
		s.endWay(v1alpha1.Healthy, "")
	default:
		s.endWay(v1alpha1.Superseded, "")
	}
}

// endWay ends a way by its outcome.
func (s *state) endWay(outcome v1alpha1.Phase, why string) {
	w := s.way
	s.way = nil
	if w.health != nil {
		at := time.Now()
		if !w.said.IsZero() {
			at = w.said
		}
		w.health.End(trace.WithTimestamp(at))
	}
	if !w.said.IsZero() && w.span.IsRecording() {
		w.stage("outcome", w.said, attribute.String("davit.outcome", string(outcome))).End()
	}
	w.span.SetAttributes(attribute.String("davit.outcome", string(outcome)))
	if outcome == v1alpha1.Failed || outcome == v1alpha1.Held {
		w.span.SetStatus(codes.Error, why)
		s.failed = w.span.SpanContext()
	}
	w.span.End()
}

// endWays ends what is traced when the process ends before the outcomes: the next one goes on in the same traces.
func (r *Reconciler) endWays() {
	for _, s := range r.all() {
		s.work.Lock()
		if s.way != nil {
			s.endWay(interrupted, "")
		}
		s.work.Unlock()
	}
}

// interrupted is how a span ends whose process ends before the release's outcome.
const interrupted v1alpha1.Phase = "Interrupted"

// watchHealth begins the stage that ends with the outcome.
func (w *way) watchHealth(from time.Time) {
	if w.span.IsRecording() {
		w.health = w.stage("health", from)
	}
}

// stage begins a stage of the way at a time.
func (w *way) stage(name string, from time.Time, facts ...attribute.KeyValue) trace.Span {
	ctx := trace.ContextWithSpan(context.Background(), w.span) // no more than the parent's place
	_, span := w.span.TracerProvider().Tracer(tracing.Name).Start(ctx, name, trace.WithTimestamp(from), trace.WithAttributes(facts...))
	return span
}
