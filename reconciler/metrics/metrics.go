// Package metrics keeps what davit tells of itself in Prometheus' format: counters and histograms that the reconciler
// moves where something happened, and gauges that are read when somebody scrapes. It knows nothing of Git, clusters and
// releases but their names; it stands beside the whole way of a commit.
//
// Names follow https://prometheus.io/docs/practices/naming. Labels are bounded by what people write down by hand:
// registries, environments, accelerators; never by releases, commits or versions.
package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Family is one metric as it is documented.
type Family struct {
	Name, Type, Help string
	Labels           []string
}

// Metrics are those of one process. It may be used concurrently; a nil one counts nothing and costs nothing.
type Metrics struct {
	registry *prometheus.Registry
	families []Family
	series
	ofRegistry, ofEnvironment []vector // those with the label registry, and of them those with environment

	mu        sync.Mutex
	following map[string]*Recorder       // by registry
	known     map[string]map[string]bool // environments that have series, and whether they began at zero, by registry
}

type vector interface {
	DeletePartialMatch(labels prometheus.Labels) int
}

// New makes the metrics of a process of a version of davit.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), following: map[string]*Recorder{}, known: map[string]map[string]bool{}}
	m.define()
	m.build.WithLabelValues(version, runtime.Version()).Set(1)
	m.leader.WithLabelValues().Set(0)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), scraped{m})
	return m
}

// Handler answers scrapes, a few at a time: one of ten thousand releases is some milliseconds' work.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Reference lists davit's own metrics by name.
func (m *Metrics) Reference() []Family {
	out := slices.Clone(m.families)
	slices.SortFunc(out, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Leading says whether this process leads.
func (m *Metrics) Leading(leads bool) {
	if m == nil {
		return
	}
	m.leader.WithLabelValues().Set(flag(leads))
}

func (m *Metrics) document(name, typ, help string, labels []string) {
	m.families = append(m.families, Family{name, typ, help, labels})
}

// of remembers what is to be dropped with a registry, and with an environment.
func (m *Metrics) of(labels []string, vec vector) {
	if slices.Contains(labels, "registry") {
		m.ofRegistry = append(m.ofRegistry, vec)
	}
	if slices.Contains(labels, "environment") {
		m.ofEnvironment = append(m.ofEnvironment, vec)
	}
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	m.document(name, "counter", help, labels)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	m.of(labels, c)
	return c
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	m.document(name, "gauge", help, labels)
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	m.of(labels, g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.document(name, "histogram", help, labels)
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	m.of(labels, h)
	return h
}

// read is a gauge whose values are found at a scrape.
func (m *Metrics) read(name, help string, labels ...string) *prometheus.Desc {
	m.document(name, "gauge", help, labels)
	return prometheus.NewDesc(name, help, labels, nil)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
