package reconciler_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// scrape reads the samples that Prometheus would, by name and labels as written.
func scrape(t *testing.T, handler http.Handler) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if at := strings.LastIndex(line, " "); at > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			samples[line[:at]] = v
		}
	}
	return samples
}

// TestMetricsOfARollback counts a promotion that fails and goes back, and a person's edit that is undone.
func TestMetricsOfARollback(t *testing.T) {
	w := newWorld(t)
	m := metrics.New("v0")
	stop := w.follow(func(c *reconciler.Config) { c.Metrics = m.Registry("models") })
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // crashes
	w.commit("promote iris to v3")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.scale("iris", 3)
	w.eventually("undone", func() bool { return *w.deployment("iris").Spec.Replicas != 3 })
	const of = `{environment="production",registry="models"`
	for name, want := range map[string]float64{
		"davit_commit_to_applied_seconds_count" + of + "}":                                              2,
		"davit_commit_to_healthy_seconds_count" + of + "}":                                              1,
		`davit_release_outcomes_total{environment="production",outcome="Failed",registry="models"}`:     1,
		`davit_release_outcomes_total{environment="production",outcome="RolledBack",registry="models"}`: 1,
		`davit_rollbacks_total{by="davit",environment="production",registry="models"}`:                  1,
		`davit_releases{environment="production",phase="RolledBack",registry="models"}`:                 1,
		`davit_releases{environment="staging",phase="Healthy",registry="models"}`:                       1,
		"davit_drift_corrected_total" + of + "}":                                                        1,
		`davit_queue_depth{registry="models"}`:                                                          0,
		`davit_registry_followed{registry="models"}`:                                                    1,
	} {
		w.eventually(name, func() bool { return scrape(t, m.Handler())[name] == want })
	}
	if took := scrape(t, m.Handler())["davit_commit_to_healthy_seconds_sum"+of+"}"]; took < 0.1 {
		t.Errorf("healthy %g s after the commit, and it bakes for 0.1 s", took)
	}
	stop()
	for name := range scrape(t, m.Handler()) {
		if strings.HasPrefix(name, "davit_releases{") {
			t.Errorf("%s is told though nobody follows", name)
		}
	}
}
