package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Release is how one release stands when somebody scrapes.
type Release struct {
	Environment, Name, Version, Phase string
	Accelerator                       string
	GPUs                              int
}

// Standing is the rest of what a registry's reconciler knows then.
type Standing struct {
	Environments []string // of the registry; nil while that is not known. What was counted of others that have no runs goes
	Queued       int
	Oldest       time.Duration  // that one has waited
	Runs         map[string]int // under way, by environment
	RunsGPUs     map[string]int // that they ask for
}

// Read has each scrape call read, which yields every release; until stop is called. Nothing is counted between scrapes,
// so ten thousand releases at rest cost nothing.
func (r *Recorder) Read(read func(yield func(Release)) Standing) (stop func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = read
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.read = nil
	}
}

// EachRelease adds davit_release_info: one series for each release.
func (m *Metrics) EachRelease() { m.registry.MustRegister(each{m}) }

// recorders are those of the registries that are followed.
func (m *Metrics) recorders() map[string]*Recorder {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.following)
}

// now reads how a registry's releases stand; false when it is not followed yet.
func (r *Recorder) now(yield func(Release)) (Standing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock() // stop waits for a scrape
	if r.read == nil {
		return Standing{}, false
	}
	return r.read(yield), true
}

// scraped collects what is read at a scrape.
type scraped struct{ m *Metrics }

func (s scraped) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.m.releases, s.m.gpus, s.m.queue, s.m.oldest, s.m.activeRuns} {
		out <- d
	}
}

func (s scraped) Collect(out chan<- prometheus.Metric) {
	for _, r := range s.m.recorders() {
		r.collect(out)
	}
}

type phaseIn struct{ environment, phase string }

type gpusIn struct{ environment, accelerator, workload string }

func (r *Recorder) collect(out chan<- prometheus.Metric) {
	phases, gpus := map[phaseIn]int{}, map[gpusIn]int{}
	st, ok := r.now(func(release Release) {
		phases[phaseIn{release.Environment, release.Phase}]++
		if release.GPUs > 0 {
			gpus[gpusIn{release.Environment, release.Accelerator, "release"}] += release.GPUs
		}
	})
	if !ok {
		return
	}
	for environment, n := range st.RunsGPUs {
		gpus[gpusIn{environment, "", "training"}] += n
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{r.registry}, labels...)...)
	}
	for of, n := range phases {
		gauge(r.m.releases, float64(n), of.environment, of.phase)
	}
	for of, n := range gpus {
		gauge(r.m.gpus, float64(n), of.environment, of.accelerator, of.workload)
	}
	for environment, n := range st.Runs {
		gauge(r.m.activeRuns, float64(n), environment)
	}
	if st.Environments != nil {
		r.keep(st.environments())
	}
	gauge(r.m.queue, float64(st.Queued))
	gauge(r.m.oldest, st.Oldest.Seconds())
}

// environments are those that something may yet be counted of.
func (st Standing) environments() map[string]bool {
	there := map[string]bool{}
	for _, name := range st.Environments {
		there[name] = true
	}
	for name := range st.Runs {
		there[name] = true
	}
	return there
}

// each collects a series for each release.
type each struct{ m *Metrics }

func (e each) Describe(out chan<- *prometheus.Desc) { out <- e.m.infoOf }

func (e each) Collect(out chan<- prometheus.Metric) {
	for name, r := range e.m.recorders() {
		r.now(func(release Release) {
			out <- prometheus.MustNewConstMetric(e.m.infoOf, prometheus.GaugeValue, 1, name, release.Environment, release.Name, release.Version, release.Phase)
		})
	}
}
