package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Recorder counts for one registry. It may be used concurrently; a nil one counts nothing.
type Recorder struct {
	m        *Metrics
	registry string

	mu      sync.Mutex
	settled bool // it was followed, or told why it can't be
	looked  time.Time
	quiet   time.Duration // between two looks
	read    func(yield func(Release)) Standing
	stuck   func() time.Duration
}

// Registry begins to count for a registry; what was said of one with that name before is replaced.
func (m *Metrics) Registry(name string) *Recorder {
	if m == nil {
		return nil
	}
	r := &Recorder{m: m, registry: name, looked: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.following[name] = r
	if m.known[name] == nil {
		m.known[name] = map[string]bool{}
	}
	m.followed.WithLabelValues(name).Set(0)
	for _, result := range []string{"accepted", "refused", "invalid"} {
		m.deliveries.WithLabelValues(name, result)
	}
	m.fetchFailures.WithLabelValues(name)
	m.retries.WithLabelValues(name)
	return r
}

// Environment has an environment's counters begin at zero: an increase from nothing to one is none to Prometheus.
func (r *Recorder) Environment(name string) {
	r.count(name, func() {
		if known := r.m.known[r.registry]; !known[name] {
			known[name] = true
			r.begin(name)
		}
	})
}

func (r *Recorder) begin(name string) {
	begin := func(c *prometheus.CounterVec, values ...string) {
		for _, v := range values {
			c.WithLabelValues(r.registry, name, v)
		}
	}
	begin(r.m.outcomes, "Healthy", "Failed", "RolledBack", "Superseded", "Pinned")
	begin(r.m.rollbacks, "davit", "person")
	begin(r.m.images, "built", "found", "failed")
	begin(r.m.runs, "Claimed", "Started", "Succeeded", "Failed", "Canceled", "Lost")
	begin(r.m.promotions, "proposed", "merged", "declined")
	for _, c := range []*prometheus.CounterVec{r.m.driftFound, r.m.driftCorrected, r.m.driftFights, r.m.imageRead, r.m.imageUploaded} {
		c.WithLabelValues(r.registry, name)
	}
	for _, h := range []*prometheus.HistogramVec{r.m.toApplied, r.m.toHealthy, r.m.imageSeconds} {
		h.WithLabelValues(r.registry, name)
	}
}

// Close ends that: what it said of the present is gone, what it counted stays until [Metrics.Forget].
func (r *Recorder) Close() {
	if r == nil {
		return
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.m.following[r.registry] != r {
		return // another one has the name by now
	}
	delete(r.m.following, r.registry)
	for _, g := range []interface{ DeleteLabelValues(...string) bool }{r.m.followed, r.m.lastLook, r.m.interval, r.m.commitTime, r.m.recorded} {
		g.DeleteLabelValues(r.registry)
	}
}

// Forget drops all series of a registry that is gone for good, unless another one has the name by now. They would stay as
// long as the process: with a hundred environments that is some eight thousand.
func (m *Metrics) Forget(registry string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.following[registry] != nil {
		return
	}
	delete(m.known, registry)
	for _, vec := range m.ofRegistry {
		vec.DeletePartialMatch(prometheus.Labels{"registry": registry})
	}
}

// Followed is told that a commit, made at a time, is followed, or why not, or not by all environments.
func (r *Recorder) Followed(commit time.Time, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.settled, r.looked = true, time.Now() // a try that fails before the repository is reached is one, too
	r.mu.Unlock()
	r.m.followed.WithLabelValues(r.registry).Set(flag(err == nil))
	if err == nil && !commit.IsZero() {
		r.m.commitTime.WithLabelValues(r.registry).Set(float64(commit.Unix()))
	}
}

// Looked is told of a look at the repository.
func (r *Recorder) Looked(took time.Duration, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.looked = time.Now()
	r.mu.Unlock()
	r.m.fetches.WithLabelValues(r.registry).Observe(took.Seconds())
	if err != nil {
		r.m.fetchFailures.WithLabelValues(r.registry).Inc()
		return
	}
	r.m.lastLook.WithLabelValues(r.registry).SetToCurrentTime()
}

// Recorded is told whether outcomes reach Git.
func (r *Recorder) Recorded(ok bool) {
	if r != nil {
		r.m.recorded.WithLabelValues(r.registry).Set(flag(ok))
	}
}

// Delivered is told what became of a webhook: accepted, refused or invalid.
func (r *Recorder) Delivered(result string) {
	if r != nil {
		r.m.deliveries.WithLabelValues(r.registry, result).Inc()
	}
}

// Notified is told what became of notifications to a kind of receiver: sent, failed or dropped.
func (r *Recorder) Notified(kind, result string, n int) {
	if r != nil {
		r.m.notifications.WithLabelValues(r.registry, kind, result).Add(float64(n))
	}
}

// Retried is told that a release goes on the queue again after an error.
func (r *Recorder) Retried() {
	if r != nil {
		r.m.retries.WithLabelValues(r.registry).Inc()
	}
}
