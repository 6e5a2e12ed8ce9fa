package reconciler

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

const (
	// defaultMetricsInterval is how often an environment's Prometheus is asked of all its releases.
	defaultMetricsInterval = time.Minute
	// checkWindow is how far back checks look at most.
	checkWindow = 5 * time.Minute
	// longCheckWindow is how far back they look for requests when that has too few.
	longCheckWindow = 6 * time.Hour
)

// ReasonCheckFailed is why a revision failed whose serving metrics are not what its rollout's checks want.
const ReasonCheckFailed = "CheckFailed"

// prometheusUnreachable is why checks wait, and a ModelRegistry is not monitored.
const prometheusUnreachable = "PrometheusUnreachable"

// checkEvery is how often the checks of one rollout are looked at.
func (r *Reconciler) checkEvery() time.Duration { return r.cfg.MetricsInterval / 4 }

// prometheus is the one granted to an environment; nil when there is none.
func (r *Reconciler) prometheus(environment string) *monitor.Prometheus {
	if grant, ok := r.cfg.Grants[environment]; ok {
		return grant.Prometheus
	}
	return r.cfg.Prometheus
}

// period is a part of a rollout that checks are judged in.
type period struct {
	since time.Time
	due   bool // it is over but for the checks
	// patient is the period of a step, which is not over before enough requests were seen. A bake does not wait for any:
	// all traffic has come over.
	patient bool
}

// judged is what checks came to.
type judged struct {
	at     time.Time
	period period
	failed string // what the revision did wrong
	reason string // what is waited for, and why
	waits  string
}

// check judges the rollout's checks. It returns false, and when to look again, when the revision may not go on: it failed
// then, or waits. Whatever ails Prometheus is outside the revision. With true it returns how soon to judge again;
// zero for never.
func (r *Reconciler) check(ctx context.Context, s *state, t *target, p period) (time.Duration, bool, error) {
	checks := s.checks(t)
	if len(checks) == 0 {
		return 0, true, nil
	}
	if s.judged.period != p || time.Since(s.judged.at) >= r.checkEvery() {
		s.judged = r.measure(ctx, s, t, p, checks)
		s.judged.at, s.judged.period = time.Now(), p
	}
	switch j := s.judged; {
	case ctx.Err() != nil:
		return 0, false, ctx.Err()
	case j.failed != "":
		s.judged, s.tested = judged{}, false
		return 0, false, r.fail(ctx, s, t, cause{reason: ReasonCheckFailed, message: j.failed})
	case j.waits != "" && p.due:
		return r.checkEvery(), false, r.waitForSamples(ctx, s, t, j)
	}
	return r.checkEvery(), true, nil
}

// checks are those that a target is judged by. A way back has none, whoever asked for it: it is to be quick, and was
// healthy before.
func (s *state) checks(t *target) []registry.MetricCheck {
	if t.rollback || t.pin != nil || !s.armed(t) || s.wasHealthyAt(t.key) {
		return nil
	}
	return t.release.Serving.Rollout.MetricChecks()
}

// measure asks Prometheus of the revision's pods, and of those of the one that serves where a check wants that.
func (r *Reconciler) measure(ctx context.Context, s *state, t *target, p period, checks []registry.MetricCheck) judged {
	server := r.prometheus(s.key.Environment)
	if server == nil {
		return judged{reason: "NoPrometheus", waits: fmt.Sprintf(
			"rollout.checks of %s need a Prometheus; name it in spec.environments of the ModelRegistry, or davit sync --prometheus", s.key)}
	}
	checks = slices.DeleteFunc(checks, func(c registry.MetricCheck) bool {
		return c.Stable && !p.patient || // nobody serves beside it
			!p.due && c.Above && (c.Measure == registry.MeasureTokens || c.Measure == registry.MeasureRequests) // traffic is just coming
	})
	q := question{r: r, server: server, s: s, t: t, period: p, checks: checks}
	answer, window, wait := q.ask(ctx, r.site(s.key.Environment).watcher.Load().RevisionPods(s.release), t.release.ModelVersion.Name)
	if wait != nil {
		return *wait
	}
	var stable monitor.Answer
	if slices.ContainsFunc(checks, func(c registry.MetricCheck) bool { return c.Stable }) {
		if stable, _, wait = q.ask(ctx, q.stable(), s.release.Status.Healthy.Version+", which serves,"); wait != nil {
			return *wait
		}
	}
	return q.judge(answer, stable, window)
}

// question is one look at a rollout's metrics.
type question struct {
	r      *Reconciler
	server *monitor.Prometheus
	s      *state
	t      *target
	period period
	checks []registry.MetricCheck
}

// stable are the pods of the revision that serves beside a canary.
func (q question) stable() []string {
	var serving string
	if now := q.s.release.Status.Traffic; now != nil {
		serving = now.Serving
	}
	return q.r.site(q.s.key.Environment).watcher.Load().Pods(q.s.release.Namespace, q.s.key.Name, map[string]string{render.RolloutLabel: serving})
}

// ask looks as far back as the period, or at most checkWindow, and farther when that has too few requests. It returns
// what to wait for when there are too few all the same, or nobody answers.
func (q question) ask(ctx context.Context, pods []string, whose string) (a monitor.Answer, window time.Duration, wait *judged) {
	since, metrics := time.Since(q.period.since), q.t.release.Runtime.Spec.Metrics.Measures
	want := float64(q.t.release.Serving.Rollout.Samples())
	for _, most := range []time.Duration{checkWindow, longCheckWindow} {
		if window > 0 && since <= window {
			break
		}
		window = min(since, most)
		var err error
		if a, err = q.server.Pods(ctx, q.s.release.Namespace, pods, window, metrics, q.checks); err != nil {
			return a, window, &judged{reason: prometheusUnreachable, waits: fmt.Sprintf("the checks of %s can't be judged: %s", q.s.key, brief(err.Error()))}
		}
		if a.Requests >= want {
			return a, window, nil
		}
	}
	switch {
	case !q.period.patient:
		return a, window, &judged{}
	case math.IsNaN(a.Requests) && len(metrics.Requests) > 0:
		return a, window, &judged{reason: "NoSamples", waits: fmt.Sprintf(
			"Prometheus has no samples of %s from the pods of %s; they must be scraped, with the labels namespace and pod, and have traffic", metrics.Requests[0].Counter, whose)}
	}
	return a, window, &judged{reason: "TooFewRequests", waits: fmt.Sprintf("%.0f of %.0f requests to %s that its checks want to see", math.Floor(a.Requests), want, whose)}
}

// judge holds the checks against what was measured. What is not known of enough requests is a fault of the runtime's file
// or of scraping, and no failure.
func (q question) judge(a, stable monitor.Answer, window time.Duration) judged {
	var failed, unknown []string
	for i, c := range q.checks {
		value, other := a.Values[i], math.NaN()
		want := strings.TrimSpace(c.Text[strings.IndexAny(c.Text, "<>"):])
		if c.Stable {
			other = stable.Values[i]
			want += " (" + c.Format(c.Bound*other) + ")"
		}
		switch {
		case math.IsNaN(value) || c.Stable && math.IsNaN(other):
			unknown = append(unknown, c.What())
		case !c.Holds(value, other):
			failed = append(failed, fmt.Sprintf("%s was %s over %.0f requests in %s, want %s", c.What(), c.Format(value), a.Requests, written(window), want))
		}
	}
	switch {
	case len(failed) > 0:
		return judged{failed: strings.Join(failed, "; ")}
	case len(unknown) > 0 && q.period.patient:
		return judged{reason: "NoSamples", waits: fmt.Sprintf("Prometheus has no samples for %s of %.0f requests; does %s name the server's metrics?",
			strings.Join(unknown, ", "), a.Requests, q.t.release.Runtime.Path)}
	}
	return judged{}
}

// written is a window as people write it.
func written(d time.Duration) string {
	if d = d.Round(time.Second); d >= time.Minute {
		return strings.TrimSuffix(d.Round(time.Second).String(), "0s")
	}
	return d.String()
}

// brief cuts what a server answered.
func brief(text string) string {
	const most = 300
	if text = line(text); len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// waitForSamples shows what the checks wait for. How many requests there are by now is written once in an interval.
func (r *Reconciler) waitForSamples(ctx context.Context, s *state, t *target, j judged) error {
	st := &s.release.Status
	if st.Phase != v1alpha1.Waiting || st.Reason != j.reason {
		s.waiting = time.Now()
		return r.wait(ctx, s, t, j.reason, j.waits)
	}
	if st.Message == j.waits || time.Since(s.waiting) < r.cfg.MetricsInterval {
		return nil
	}
	s.waiting = time.Now()
	s.phase(v1alpha1.Waiting, j.reason, j.waits)
	return r.write(ctx, s)
}
