package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Bounds of what is written of serving metrics: numbers move all the time.
const (
	// servingWindow is how far back the numbers of a status go.
	servingWindow = 5 * time.Minute
	// noticeable is by which share of the greater one two numbers differ that are not the same.
	noticeable = 0.2
	// servingWrites is how many statuses of an environment are written at most in an interval: with one of a minute ten
	// in a second, of some 400 that an API server takes.
	servingWrites = 600
)

// watchServing keeps the serving metrics in the statuses up to date until ctx ends: one round of queries for each
// environment in an interval, however many releases it has.
func (r *Reconciler) watchServing(ctx context.Context) {
	ticker := time.NewTicker(r.checkEvery()) // the first numbers come soon
	defer ticker.Stop()
	for down := map[string]string{}; ; { // what is not known, by environments that were asked
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		ticker.Reset(r.cfg.MetricsInterval)
		want := r.desired.Load()
		if want == nil {
			continue
		}
		for name := range want.models.Environments {
			if r.mine(name) && r.site(name) != nil {
				r.askServing(ctx, name, down)
			}
		}
		for name, was := range down {
			if was != "" && want.models.Environments[name] == nil { // it went, and its trouble with it
				delete(down, name)
				r.monitored(name, nil)
			}
		}
	}
}

// askServing asks of one environment. What its Prometheus does not answer is told when that changes; of the runtimes it
// concerns the last numbers stay, with their time.
func (r *Reconciler) askServing(ctx context.Context, environment string, down map[string]string) {
	want, watcher := r.wanted(environment), r.site(environment).watcher.Load()
	env := want.models.Environments[environment]
	if env == nil || watcher == nil {
		return
	}
	var numbers map[*registry.Runtime]map[string]monitor.Numbers
	server := r.prometheus(environment)
	if server != nil {
		var err error
		numbers, err = r.numbers(ctx, server, want, env)
		if ctx.Err() != nil {
			return
		}
		if err != nil || len(numbers) > 0 { // somebody was asked
			r.answered(environment, err, down)
		}
	}
	var all []news
	for _, release := range want.models.Releases {
		groups, asked := numbers[release.Runtime]
		if release.Environment != env || server == nil && !r.state(release.Key()).measured() || asked && groups == nil {
			continue
		}
		is := r.summary(release, groups, watcher.Pods(env.Spec.Namespace, release.Name, nil))
		if n, ok := r.state(release.Key()).news(is, r.cfg.MetricsInterval); ok {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b news) int { return cmp.Or(a.was.Compare(b.was), byName(a.s.key, b.s.key)) })
	for _, n := range all[:min(len(all), servingWrites)] {
		if err := r.writeServing(ctx, n); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("serving metrics not written", "release", n.s.key.String(), "error", err)
		}
	}
}

// answered tells how asking an environment's Prometheus went, where that is news.
func (r *Reconciler) answered(environment string, err error, down map[string]string) {
	was, told := down[environment]
	is := ""
	if err != nil {
		is = runtimesOf(err)
	}
	if told && was == is {
		return
	}
	switch {
	case err != nil:
		r.cfg.Log.Warn("serving metrics not known; they are asked for again", "environment", environment, "error", err)
	case was != "":
		r.cfg.Log.Info("serving metrics known again", "environment", environment)
	}
	r.monitored(environment, err)
	down[environment] = is
}

// unansweredError is of the runtimes whose numbers a Prometheus does not tell; others it may.
type unansweredError struct {
	runtimes []string // name@version, in order
	all      bool     // that were asked about
	err      error    // of the first of them
}

func (e *unansweredError) Error() string {
	if e.all {
		return e.err.Error()
	}
	return fmt.Sprintf("runtime %s: %s", strings.Join(e.runtimes, ", "), e.err)
}

func (e *unansweredError) Unwrap() error { return e.err }

// runtimesOf is which of them an error is of, to be compared.
func runtimesOf(err error) string {
	if e, ok := errors.AsType[*unansweredError](err); ok {
		return strings.Join(e.runtimes, " ")
	}
	return err.Error()
}

// numbers are those of every runtime that releases of the environment use and whose metrics are named; nil for one that
// Prometheus does not tell of, with an error that names it. A server that answers nothing is not asked of each.
func (r *Reconciler) numbers(ctx context.Context, server *monitor.Prometheus, want *desired, env *registry.Environment) (map[*registry.Runtime]map[string]monitor.Numbers, error) {
	out := map[*registry.Runtime]map[string]monitor.Numbers{}
	failed := map[string]error{}
	var down error
	for _, release := range want.models.Releases {
		rt := release.Runtime
		if _, done := out[rt]; done || release.Environment != env || !rt.Spec.Metrics.Tells(registry.MeasureRequests) {
			continue
		}
		groups, err := map[string]monitor.Numbers(nil), down
		if down == nil {
			groups, err = server.Namespace(ctx, env.Spec.Namespace, servingWindow, rt.Spec.Metrics.Measures)
		}
		if out[rt] = groups; err == nil {
			continue
		}
		if failed[rt.String()] = err; !monitor.OfQuery(err) {
			out[rt], down = nil, err
		}
	}
	if len(failed) == 0 {
		return out, nil
	}
	names := slices.Sorted(maps.Keys(failed))
	return out, &unansweredError{names, len(failed) == len(out), failed[names[0]]}
}

// summary is what a release's pods served together; nil where its runtime names no metrics. While a revision replaces
// another both count: percentiles are then those of the worse one.
func (r *Reconciler) summary(release *registry.Release, groups map[string]monitor.Numbers, pods []string) *v1alpha1.ServingMetrics {
	if groups == nil {
		return nil
	}
	nan := math.NaN()
	sum := monitor.Numbers{Requests: nan, Errors: nan, Tokens: nan, Latency: nan, TTFT: nan}
	seen := map[string]bool{}
	for _, pod := range pods {
		group := monitor.Group(pod)
		n, ok := groups[group]
		if !ok || seen[group] {
			continue
		}
		seen[group] = true
		sum = monitor.Numbers{
			Requests: plus(sum.Requests, n.Requests), Errors: plus(sum.Errors, n.Errors), Tokens: plus(sum.Tokens, n.Tokens),
			Latency: worse(sum.Latency, n.Latency), TTFT: worse(sum.TTFT, n.TTFT),
		}
	}
	seconds := servingWindow.Seconds()
	m := &v1alpha1.ServingMetrics{
		At: metav1.Now(), Window: metav1.Duration{Duration: servingWindow},
		Requests: decimal(sum.Requests / seconds), Tokens: decimal(sum.Tokens / seconds),
		Latency: decimal(sum.Latency), TTFT: decimal(sum.TTFT),
	}
	switch {
	case len(seen) == 0:
		m.Message = "Prometheus has no samples of its pods"
	case sum.Requests > 0:
		m.Errors = decimal(sum.Errors / sum.Requests)
	}
	return m
}

// plus and worse leave out what is not known.
func plus(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}

func worse(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

// decimal is a number with three digits that count; "" for what is none.
func decimal(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// news are metrics to be written.
type news struct {
	s   *state
	is  *v1alpha1.ServingMetrics
	was time.Time
}

// measured says that the status has serving metrics. One that is worked on counts as having none.
func (s *state) measured() bool {
	if !s.work.TryLock() {
		return false
	}
	defer s.work.Unlock()
	return s.release != nil && s.release.Status.Serving != nil
}

// news says whether metrics are to be written: where they noticeably differ, at every second interval at most. A release that is worked on, maybe for hours, has its turn later.
func (s *state) news(is *v1alpha1.ServingMetrics, interval time.Duration) (news, bool) {
	if !s.work.TryLock() {
		return news{}, false
	}
	defer s.work.Unlock()
	if s.release == nil || s.unsure {
		return news{}, false
	}
	was := s.release.Status.Serving
	if was == nil || is == nil {
		return news{s: s, is: is}, was != is
	}
	return news{s, is, was.At.Time}, differ(was, is) && is.At.Sub(was.At.Time) > interval*3/2
}

// differ says whether somebody who looks would call it a change.
func differ(a, b *v1alpha1.ServingMetrics) bool {
	return a.Message != b.Message || apart(a.Requests, b.Requests, 0.01) || apart(a.Errors, b.Errors, 0.001) ||
		apart(a.Latency, b.Latency, 0.001) || apart(a.TTFT, b.TTFT, 0.001) || apart(a.Tokens, b.Tokens, 0.1)
}

// apart compares two numbers, of which differences below least don't count.
func apart(a, b string, least float64) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return a != b
	}
	d := math.Abs(x - y)
	return d >= least && d > noticeable*max(math.Abs(x), math.Abs(y))
}

// writeServing writes them, unless somebody wrote the ModelRelease meanwhile: there will be others.
func (r *Reconciler) writeServing(ctx context.Context, n news) error {
	s := n.s
	if !s.work.TryLock() {
		return nil
	}
	defer s.work.Unlock()
	if s.release == nil || s.unsure {
		return nil
	}
	written, err := r.site(s.key.Environment).cluster.WriteServing(ctx, s.release, n.is)
	if errors.Is(err, cluster.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	next := s.release.DeepCopy() // others read the one there was
	next.ResourceVersion, next.Status.Serving = written.ResourceVersion, n.is
	s.release = next
	return nil
}
