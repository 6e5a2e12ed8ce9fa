package reconciler

import (
	"math"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func TestDecimal(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 1234.5: "1230", 99.96: "100", 1e21: "1000000000000000000000", math.NaN(): "", math.Inf(1): ""} {
		if got := decimal(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// TestNews: what moves a little is not written, and nothing is at every interval.
func TestNews(t *testing.T) {
	now := time.Now()
	was := v1alpha1.ServingMetrics{At: metav1.NewTime(now), Requests: "10", Errors: "0.01", Latency: "1", TTFT: "0.2", Tokens: "100"}
	s := &state{release: &v1alpha1.ModelRelease{}}
	for _, c := range []struct {
		name  string
		after time.Duration
		edit  func(*v1alpha1.ServingMetrics)
		want  bool
	}{
		{"the same, later", time.Hour, func(*v1alpha1.ServingMetrics) {}, false},
		{"a little more", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Requests, m.Latency = "11.9", "0.85" }, false},
		{"more", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Requests = "13" }, true},
		{"more, at once", time.Minute, func(m *v1alpha1.ServingMetrics) { m.Requests = "13" }, false},
		{"errors, twice next to nothing", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Errors = "0.0105" }, false},
		{"errors", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Errors = "0.02" }, true},
		{"no latency", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Latency = "" }, true},
		{"no samples", time.Hour, func(m *v1alpha1.ServingMetrics) { m.Message = "none" }, true},
	} {
		is := was
		is.At = metav1.NewTime(now.Add(c.after))
		c.edit(&is)
		s.release.Status.Serving = &was
		if _, got := s.news(&is, time.Minute); got != c.want {
			t.Errorf("%s: written %v", c.name, got)
		}
	}
	s.release.Status.Serving = nil
	if _, got := s.news(nil, time.Minute); got {
		t.Error("nothing is written where there is nothing")
	}
	s.work.Lock()
	if _, got := s.news(&was, time.Minute); got {
		t.Error("a release that is worked on is touched")
	}
}

// TestSummary: counts are summed over the groups of a release's pods, percentiles are those of the worse one.
func TestSummary(t *testing.T) {
	nan := math.NaN()
	release, r := &registry.Release{}, &Reconciler{}
	m := r.summary(release, map[string]monitor.Numbers{
		"iris-a": {Requests: 300, Errors: 3, Tokens: 3000, Latency: 1, TTFT: nan},
		"iris-b": {Requests: 0, Errors: 0, Tokens: nan, Latency: nan, TTFT: nan},
		"rose-a": {Requests: 9000, Errors: 9000, Tokens: 1, Latency: 99, TTFT: 99},
	}, []string{"iris-a-1", "iris-a-2", "iris-b-1", "iris-c-1"})
	if m.Requests != "1" || m.Errors != "0.01" || m.Tokens != "10" || m.Latency != "1" || m.TTFT != "" || m.Message != "" {
		t.Errorf("%+v", m)
	}
	if m := r.summary(release, map[string]monitor.Numbers{}, []string{"iris-a-1"}); m.Message == "" || m.Requests != "" || m.Errors != "" {
		t.Errorf("of nothing: %+v", m)
	}
	if m := r.summary(release, nil, []string{"iris-a-1"}); m != nil {
		t.Errorf("of a runtime that tells nothing: %+v", m)
	}
}
