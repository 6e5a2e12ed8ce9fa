package reconciler_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
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
	t.Parallel()
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

// TestMetricsOfAnEnvironmentThatGoes wants nothing told any more of an environment that a commit takes away, but
// of its releases while they are in the cluster.
func TestMetricsOfAnEnvironmentThatGoes(t *testing.T) {
	w := newWorld(t)
	m := metrics.New("v0")
	w.follow(func(c *reconciler.Config) { c.Metrics = m.Registry("models") })
	w.eventually("healthy in staging", func() bool {
		return scrape(t, m.Handler())[`davit_releases{environment="staging",phase="Healthy",registry="models"}`] == 1
	})
	told := func(environment string) (names []string) {
		for name := range scrape(t, m.Handler()) {
			if strings.Contains(name, fmt.Sprintf("environment=%q", environment)) && !strings.HasPrefix(name, "davit_releases{") {
				names = append(names, name)
			}
		}
		return names
	}
	if len(told("staging")) == 0 {
		t.Fatal("nothing is told of staging")
	}
	w.remove("releases/iris/staging.yaml")
	w.remove("environments/staging")
	w.commit("without staging")
	w.eventually("nothing of staging", func() bool { return len(told("staging")) == 0 })
	if len(told("production")) == 0 {
		t.Error("nothing is told of production")
	}
}

// TestTimeOfPolicy wants the time that a gate keeps a release back not counted as davit's.
func TestTimeOfPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := metrics.New("v0")
	w.follow(func(c *reconciler.Config) { c.Metrics = m.Registry("models") })
	w.until(production, "v1", v1alpha1.Healthy)
	const of = `{environment="production",registry="models"}`
	before := scrape(t, m.Handler())
	w.policy("production", "  gates:\n    healthyIn: {staging: 6s}\n")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	began := time.Now()
	w.commit("iris v2 everywhere")
	w.until(production, "v2", v1alpha1.Healthy)
	took, after := time.Since(began), scrape(t, m.Handler())
	n := after["davit_commit_to_healthy_seconds_count"+of]
	counted := after["davit_commit_to_healthy_seconds_sum"+of] - before["davit_commit_to_healthy_seconds_sum"+of]
	if n != 2 || counted > took.Seconds()-5 { // a slow machine's own time counts
		t.Errorf("%g commits, and %g s counted of %s, of which the gate alone took 6 s", n, counted, took)
	}
}

// TestObservedTraining counts a run, and wants one line of log for each thing that comes of it. It has the cluster to itself:
// tries of other tests are told of by every reconciler there.
func TestObservedTraining(t *testing.T) {
	w := newTrainingWorld(t)
	m, log := metrics.New("v0"), &lines{}
	w.follow(func(c *reconciler.Config) {
		c.Committer, c.Name = &gitops.Author{Name: "davit", Email: "davit@example.com"}, "here"
		c.Metrics, c.Log = m.Registry("models"), slog.New(slog.NewTextHandler(log, nil))
	})
	w.until(staging, "v1", v1alpha1.Healthy)
	w.spec("1000", "  version: v{n}")
	hash := w.publish()
	w.commit("train iris")
	w.ended(hash, gitops.RunSucceeded)
	for _, state := range []gitops.RunState{gitops.RunClaimed, gitops.RunStarted, gitops.RunSucceeded} {
		name := fmt.Sprintf("davit_training_runs_total{environment=%q,registry=%q,state=%q}", "staging", "models", state)
		w.eventually(name, func() bool { return scrape(t, m.Handler())[name] == 1 })
	}
	for _, message := range []string{"a run is claimed", "a run started", "a run ended", "a version is proposed"} {
		w.eventually(message, func() bool { return log.count(message) > 0 })
		if n := log.count(message); n != 1 {
			t.Errorf("%q is in the log %d times:\n%s", message, n, log)
		}
	}
	if n := log.count("level=WARN") + log.count("level=ERROR") - log.count("it is tried again"); n > 0 { // a server may be slow
		t.Errorf("%d lines of trouble:\n%s", n, log)
	}
}

// lines is a log that is read while it is written.
type lines struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *lines) count(text string) int { return strings.Count(l.String(), text) }
