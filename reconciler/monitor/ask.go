package monitor

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/davit-dev/davit/registry"
)

// Numbers are what some pods served in a window. One that the runtime does not tell, or of which there is no sample, is
// NaN.
type Numbers struct {
	// Requests, Errors and Tokens are how many there were in the window.
	Requests, Errors, Tokens float64
	// Latency and TTFT are 95th percentiles, in seconds.
	Latency, TTFT float64
}

// Namespace tells of all pods of a namespace, by [Group]. It costs one query for each counter and each histogram of m,
// however many pods there are.
func (p *Prometheus) Namespace(ctx context.Context, namespace string, window time.Duration, m registry.Measures) (map[string]Numbers, error) {
	server, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	a := &asking{p: p, server: server, scope: scope{labels: p.cfg.Labels, namespace: namespace, window: window}}
	requests, errs, tokens := a.counters(ctx, m.Requests), a.counters(ctx, m.Errors), a.counters(ctx, m.Tokens)
	latency, ttft := a.quantile(ctx, 0.95, m.Latency), a.quantile(ctx, 0.95, m.TTFT)
	if a.err != nil {
		return nil, a.err
	}
	out := map[string]Numbers{}
	for group := range requests {
		n := Numbers{requests[group], at(errs, group), at(tokens, group), at(latency, group), at(ttft, group)}
		if math.IsNaN(n.Errors) && len(m.Errors) > 0 {
			n.Errors = 0 // a counter of errors comes with the first
		}
		out[group] = n
	}
	return out, nil
}

// Answer is what checks are judged by.
type Answer struct {
	// Requests is how many ended in the window; NaN when there is no series of them, so that the pods are not scraped, or
	// served nothing yet.
	Requests float64
	// Values are those of the checks, in their order; NaN where there is none.
	Values []float64
}

// Pods tells what checks want to know of exactly these pods.
func (p *Prometheus) Pods(ctx context.Context, namespace string, pods []string, window time.Duration, m registry.Measures, checks []registry.MetricCheck) (Answer, error) {
	server, err := p.api(ctx)
	if err != nil {
		return Answer{}, err
	}
	a := &asking{p: p, server: server, scope: scope{labels: p.cfg.Labels, namespace: namespace, pods: append([]string{}, pods...), window: window}}
	requests := at(a.counters(ctx, m.Requests), "")
	out := Answer{Requests: requests}
	for _, c := range checks {
		out.Values = append(out.Values, a.value(ctx, c, m, requests))
	}
	return out, a.err
}

// asking is some questions to one server, of which the first error counts.
type asking struct {
	p      *Prometheus
	server promv1.API
	scope  scope
	err    error
}

func (a *asking) value(ctx context.Context, c registry.MetricCheck, m registry.Measures, requests float64) float64 {
	seconds := a.scope.window.Seconds()
	switch c.Measure {
	case registry.MeasureRequests:
		return requests / seconds
	case registry.MeasureTokens:
		return at(a.counters(ctx, m.Tokens), "") / seconds
	case registry.MeasureErrors:
		if n := at(a.counters(ctx, m.Errors), ""); !math.IsNaN(n) {
			return n / requests
		}
		return 0 * requests // a counter of errors comes with the first
	}
	t := m.Timing(c.Measure)
	if t == nil {
		return math.NaN()
	}
	if c.Quantile > 0 {
		return at(a.quantile(ctx, c.Quantile, t), "")
	}
	return a.average(ctx, *t, requests)
}

// average is the time that all requests took, by their number.
func (a *asking) average(ctx context.Context, t registry.Timing, requests float64) float64 {
	total, n := t.Total, requests
	if t.Histogram != "" {
		total = t.Histogram + "_sum"
		n = at(a.counters(ctx, []registry.Counter{{Counter: t.Histogram + "_count", Where: t.Where}}), "")
	}
	return t.Seconds() * at(a.counters(ctx, []registry.Counter{{Counter: total, Where: t.Where}}), "") / n
}

// counters sums by how much each of them grew. What has no series counts as nothing, unless none has any.
func (a *asking) counters(ctx context.Context, counters []registry.Counter) map[string]float64 {
	out := map[string]float64{}
	for _, c := range counters {
		for group, n := range a.ask(ctx, a.scope.increase(c.Counter, c.Where)) {
			out[group] += n
		}
	}
	return out
}

// quantile is empty for what tells none.
func (a *asking) quantile(ctx context.Context, q float64, t *registry.Timing) map[string]float64 {
	if t == nil || t.Histogram == "" {
		return nil
	}
	out := a.ask(ctx, a.scope.quantile(q, *t))
	for group := range out {
		out[group] *= t.Seconds()
	}
	return out
}

func (a *asking) ask(ctx context.Context, query string) map[string]float64 {
	if a.err != nil {
		return nil
	}
	var vector model.Vector
	vector, a.err = a.p.vector(ctx, a.server, query)
	out := map[string]float64{}
	for _, sample := range vector {
		out[string(sample.Metric[groupLabel])] = float64(sample.Value)
	}
	return out
}

func at(values map[string]float64, group string) float64 {
	if v, ok := values[group]; ok {
		return v
	}
	return math.NaN()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
