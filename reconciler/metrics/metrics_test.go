package metrics_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/metrics"
)

// answers is a transport that answers by a code, or by an error.
type answers int

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	if a == 0 {
		return nil, errors.New("out of reach")
	}
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

func scrape(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// TestRequests wants verbs as in RBAC, and resources without any name of an object, namespace or path behind a proxy.
func TestRequests(t *testing.T) {
	for _, c := range []struct {
		method, path, typ string
		answer            answers
		want              string
	}{
		{"GET", "/api/v1/namespaces/production/pods/iris-0/log", "", 200, `code="200",resource="pods/log",verb="get"`},
		{"GET", "/api/v1/pods", "", 200, `code="200",resource="pods",verb="list"`},
		{"GET", "/apis/apps/v1/deployments?watch=true", "", 200, `code="200",resource="deployments.apps",verb="watch"`},
		{"PATCH", "/apis/apps/v1/namespaces/production/deployments/iris", "application/apply-patch+yaml", 201, `code="201",resource="deployments.apps",verb="apply"`},
		{"PATCH", "/apis/davit.dev/v1alpha1/namespaces/production/modelreleases/production.iris/status", "application/merge-patch+json", 409, `code="409",resource="modelreleases.davit.dev/status",verb="patch"`},
		{"POST", "/api/v1/namespaces/production/services/iris:80/proxy/v2/models/iris/infer", "", 200, `code="200",resource="services/proxy",verb="create"`},
		{"GET", "/api/v1/namespaces/production", "", 404, `code="404",resource="namespaces",verb="get"`},
		{"PUT", "/api/v1/namespaces/production/status", "", 200, `code="200",resource="namespaces/status",verb="update"`},
		{"DELETE", "/api/v1/namespaces/production/pods/iris-0", "", 200, `code="200",resource="pods",verb="delete"`},
		{"GET", "/apis/apps/v1", "", 200, `code="200",resource="discovery",verb="get"`},
		{"GET", "/k8s/clusters/c-1/api/v1/pods", "", 0, `code="error",resource="pods",verb="list"`},
		{"GET", "/version", "", 200, `code="200",resource="other",verb="get"`},
	} {
		m := metrics.New("v0")
		req := httptest.NewRequest(c.method, c.path, nil)
		req.Header.Set("Content-Type", c.typ)
		answer, err := m.Requests(c.answer).RoundTrip(req)
		if c.answer == 0 && err == nil || c.answer != 0 && answer.StatusCode != int(c.answer) {
			t.Errorf("%s %s: %v %v", c.method, c.path, answer, err)
		}
		if got := scrape(m); !strings.Contains(got, "davit_api_requests_total{"+c.want+"} 1\n") {
			t.Errorf("%s %s: no %s in\n%s", c.method, c.path, c.want, got)
		}
	}
}

// TestLint has Prometheus' own linter read all that there can be.
func TestLint(t *testing.T) {
	m := full()
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(m))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v (make deps installs it)\n%s", err, out)
	}
	for _, f := range m.Reference() {
		if !strings.Contains(scrape(m), "# TYPE "+f.Name+" "+f.Type+"\n") {
			t.Errorf("%s is documented as a %s, and not exported", f.Name, f.Type)
		}
	}
}

// full has a series of each metric.
func full() *metrics.Metrics {
	m := metrics.New("v0")
	m.EachRelease()
	r := m.Registry("models")
	r.Environment("production")
	r.Followed(time.Now(), nil)
	r.Every(time.Minute)
	r.Looked(time.Second, nil)
	r.Recorded(true)
	r.Notified("Slack", "sent", 1)
	r.Run("production", "Succeeded", time.Hour)
	_, _ = m.Requests(answers(200)).RoundTrip(httptest.NewRequest(http.MethodGet, "/api/v1/pods", nil))
	r.Read(func(yield func(metrics.Release)) metrics.Standing {
		yield(metrics.Release{Environment: "production", Name: "iris", Version: "v1", Phase: "Healthy", Accelerator: "h100", GPUs: 2})
		return metrics.Standing{Runs: map[string]int{"production": 1}, RunsGPUs: map[string]int{"production": 8}}
	})
	return m
}

// TestEndOfRegistry wants nothing said of the present of a registry that is not followed any more, or an alert on it would
// never end; and a successor of the same name not to be silenced by the end of the one before.
func TestEndOfRegistry(t *testing.T) {
	m := metrics.New("v0")
	first := m.Registry("models")
	first.Followed(time.Time{}, errors.New("no such host"))
	if got := scrape(m); !strings.Contains(got, `davit_registry_followed{registry="models"} 0`) {
		t.Errorf("a registry that can't be followed is not told:\n%s", got)
	}
	second := m.Registry("models")
	first.Close()
	second.Followed(time.Unix(1000, 0), nil)
	if got := scrape(m); !strings.Contains(got, `davit_registry_followed{registry="models"} 1`) {
		t.Errorf("the successor is silenced:\n%s", got)
	}
	second.Close()
	for _, name := range []string{"davit_registry_followed{", "davit_registry_commit_timestamp_seconds{", "davit_queue_depth{"} {
		if strings.Contains(scrape(m), name) {
			t.Errorf("%s is told of a registry that is gone", name)
		}
	}
}

// TestForget wants no series of a ModelRegistry that was deleted, and those of the others kept.
func TestForget(t *testing.T) {
	m := full()
	kept := m.Registry("kept")
	kept.Environment("production")
	m.Forget("models")
	if got := scrape(m); !strings.Contains(got, `davit_rollbacks_total{by="davit",environment="production",registry="models"}`) {
		t.Errorf("one that is followed is forgotten:\n%s", got)
	}
	closed := m.Registry("models")
	closed.Close()
	m.Forget("models")
	got := scrape(m)
	for line := range strings.Lines(got) {
		if strings.Contains(line, `registry="models"`) {
			t.Errorf("told of a registry that is gone: %s", line)
		}
	}
	if !strings.Contains(got, `davit_rollbacks_total{by="davit",environment="production",registry="kept"}`) {
		t.Errorf("another is forgotten:\n%s", got)
	}
}

// TestEnvironmentGoes wants no series of an environment that was taken out of a registry that lives on, by the second
// scrape, and those of the others as they were; also where the following began anew in between.
func TestEnvironmentGoes(t *testing.T) {
	m := metrics.New("v0")
	m.Registry("other").Environment("staging")
	first := m.Registry("models")
	first.Environment("staging")
	first.Environment("production")
	first.Run("staging", "Succeeded", time.Hour)
	first.Outcome("production", "Healthy")
	first.Close()
	r := m.Registry("models")
	there := []string(nil)
	runs := map[string]int{}
	r.Read(func(func(metrics.Release)) metrics.Standing { return metrics.Standing{Environments: there, Runs: runs} })
	staging := func() bool {
		scrape(m)
		return strings.Contains(scrape(m), `environment="staging",registry="models"`)
	}
	if !staging() {
		t.Error("dropped before it is known which there are")
	}
	there, runs["staging"] = []string{"production"}, 1
	if !staging() {
		t.Error("dropped while a run is under way")
	}
	delete(runs, "staging")
	if staging() {
		t.Errorf("told of an environment that is gone:\n%s", scrape(m))
	}
	r.Outcome("staging", "Superseded") // late
	if staging() {
		t.Error("told of it since something late was counted")
	}
	got := scrape(m)
	for _, want := range []string{
		`davit_release_outcomes_total{environment="production",outcome="Healthy",registry="models"} 1`,
		`davit_release_outcomes_total{environment="staging",outcome="Healthy",registry="other"} 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	there = []string{"production", "staging"}
	r.Environment("staging")
	if !staging() {
		t.Error("it comes back, and nothing is told of it")
	}
}

// TestReady wants a registry followed, or told why not: one that can't be followed keeps no other from being served.
func TestReady(t *testing.T) {
	m := metrics.New("v0")
	if err := m.Ready(); err != nil {
		t.Errorf("without registries: %v", err)
	}
	r := m.Registry("models")
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "models") {
		t.Errorf("before it is followed: %v", err)
	}
	r.Followed(time.Time{}, errors.New("no such host"))
	if err := m.Ready(); err != nil {
		t.Errorf("after it was tried: %v", err)
	}
	if err := m.Alive(); err != nil {
		t.Errorf("alive: %v", err)
	}
}

// TestHungWorkers wants the process not alive while what is due waits and nobody moves, and only then.
func TestHungWorkers(t *testing.T) {
	m := metrics.New("v0")
	r := m.Registry("models")
	waits := 29 * time.Minute
	stop := r.Works(func() time.Duration { return waits })
	if err := m.Alive(); err != nil {
		t.Errorf("after %s: %v", waits, err)
	}
	waits = 31 * time.Minute
	if err := m.Alive(); err == nil || err.Error() != "registry models: releases wait, and no worker moved for 31m0s" {
		t.Errorf("after %s: %v", waits, err)
	}
	stop()
	if err := m.Alive(); err != nil {
		t.Errorf("when nobody works any more: %v", err)
	}
}

// TestNothing wants all of it to do nothing where nothing is counted.
func TestNothing(t *testing.T) {
	var m *metrics.Metrics
	r := m.Registry("models")
	r.Environment("production")
	r.Applied("production", time.Second)
	r.Healthy("production", time.Second)
	r.Outcome("production", "Healthy")
	r.Followed(time.Now(), nil)
	r.Looked(time.Second, nil)
	r.Image(metrics.Image{})
	r.Run("production", "Failed", 0)
	r.Read(nil)()
	r.Works(nil)()
	r.Retried()
	r.Every(time.Second)
	r.Close()
	m.Forget("models")
	m.Leading(true)
	if next := answers(200); m.Requests(next) != http.RoundTripper(next) {
		t.Error("requests go by a counter that counts nothing")
	}
}

// fleet are releases, spread over environments, that a registry tells of.
func fleet(m *metrics.Metrics, releases, environments int) {
	r := m.Registry("models")
	all := make([]metrics.Release, releases)
	for i := range all {
		all[i] = metrics.Release{
			Environment: fmt.Sprint("e", i%environments), Name: fmt.Sprint("r", i), Version: "v1", Phase: "Healthy", Accelerator: "h100", GPUs: 1,
		}
		r.Environment(all[i].Environment)
	}
	r.Read(func(yield func(metrics.Release)) metrics.Standing {
		for _, r := range all {
			yield(r)
		}
		return metrics.Standing{}
	})
}

// series counts those of davit's own.
func series(m *metrics.Metrics) (n int) {
	for line := range strings.Lines(scrape(m)) {
		if strings.HasPrefix(line, "davit_") {
			n++
		}
	}
	return n
}

// TestSeries wants as many series as environments want, however many releases they have, but where each is asked for.
func TestSeries(t *testing.T) {
	few, many, each := metrics.New("v0"), metrics.New("v0"), metrics.New("v0")
	each.EachRelease()
	fleet(few, 20, 20)
	fleet(many, 2000, 20)
	fleet(each, 2000, 20)
	n, ofMany, withEach := series(few), series(many), series(each)
	if n == 0 || n > 20*100 || ofMany != n || withEach != n+2000 {
		t.Errorf("20 environments: %d series with 20 releases, %d with 2,000, %d with a series for each", n, ofMany, withEach)
	}
}

// BenchmarkScrape is a scrape of ten thousand releases.
func BenchmarkScrape(b *testing.B) {
	for _, environments := range []int{4, 100} {
		b.Run(fmt.Sprint(environments, "environments"), func(b *testing.B) {
			m := metrics.New("v0")
			fleet(m, 10_000, environments)
			b.ReportAllocs()
			for b.Loop() {
				scrape(m)
			}
			b.ReportMetric(float64(series(m)), "series")
		})
	}
}
