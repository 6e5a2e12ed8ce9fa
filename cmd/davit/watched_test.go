package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	davitmetrics "github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

const inProduction, inStaging = "production/iris", "staging/iris"

// TestWatched tells a story, of a promotion that fails and goes back, of a person's edit, and of a controller that is killed,
// and looks at it as an operator does: through a real Prometheus, the probes, the log, and the traces that a collector gets.
func TestWatched(t *testing.T) {
	w := newWatched(t)
	w.service()
	first := w.control(pageFlags(1)...)
	prometheus := w.prometheus(first.address)
	first.comes(inProduction, v1alpha1.Healthy, 1)
	first.comes(inStaging, v1alpha1.Healthy, 1)

	w.until("Prometheus scrapes", func() bool { // or what is counted from now on would be no increase to it
		n, err := w.query(prometheus, `count_over_time(davit_rollbacks_total{by="davit",environment="production"}[1m]) > 1`)
		return err == nil && n == 1
	})

	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	bad := w.commit("promote iris to v3, whose pods crash")
	first.comes(inProduction, v1alpha1.RolledBack, 1)
	w.drift()
	w.until("the edit is undone", func() bool { return first.count("drift undone", inProduction, "") == 1 })

	t.Run("log", func(t *testing.T) { logOfStory(t, first) })
	second := w.control(pageFlags(2)...) // it stands by
	t.Run("probes", func(t *testing.T) { probesOf(t, w, first, second) })
	t.Run("trace", func(t *testing.T) { traceOfRollback(t, w, bad) })
	t.Run("prometheus", func(t *testing.T) { queried(t, w, prometheus) })
	t.Run("page", func(t *testing.T) { pageOfReplicas(t, w, second) })
	t.Run("killed", func(t *testing.T) { killed(t, w, first, second) })
	t.Run("page by default", func(t *testing.T) { pageByDefault(t, w, second) })
}

// drift is a person's edit.
func (w *watched) drift() {
	w.t.Helper()
	_, err := w.client.AppsV1().Deployments("production").Patch(w.t.Context(), "iris", types.MergePatchType,
		[]byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		w.t.Fatal(err)
	}
}

// logOfStory wants one line for each change of a release, with the facts as keys.
func logOfStory(t *testing.T, p *process) {
	got := map[string]int{}
	for _, l := range p.lines() {
		if l["msg"] == "release changed" {
			got[fmt.Sprint(l["release"], " ", l["version"], " ", l["phase"])]++
		} else if l["level"] != "INFO" {
			t.Errorf("a line of trouble in a story without any: %v", l)
		}
		if strings.Contains(fmt.Sprint(l), "3 values where 12") {
			t.Errorf("what a container wrote is in the log: %v", l)
		}
		if l["msg"] == "release changed" && (l["registry"] != "models" || len(fmt.Sprint(l["commit"])) != 40 || l["after"] == nil) {
			t.Errorf("facts are missing: %v", l)
		}
	}
	want := map[string]int{
		"staging/iris v1 Progressing": 1, "staging/iris v1 Healthy": 1,
		"production/iris v1 Progressing": 2, "production/iris v1 Healthy": 1, "production/iris v1 RolledBack": 1,
		"production/iris v3 Progressing": 1, "production/iris v3 Failed": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("changes of releases in the log: %v, want %v", got, want)
	}
	if n := len(p.lines()); n > 20 {
		t.Errorf("%d lines, for 8 changes and a start:\n%v", n, p.lines())
	}
}

// probesOf wants the leader and the standby ready and alive, and one of them leading.
func probesOf(t *testing.T, w *watched, leader, standby *process) {
	for _, p := range []*process{leader, standby} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := w.get("http://" + p.address + path); got != "ok\n" {
				t.Errorf("%s%s: %q", p.address, path, got)
			}
		}
	}
	if got := w.get("http://" + leader.address + "/metrics"); !strings.Contains(got, "\ndavit_leader 1\n") {
		t.Error("the leader does not tell that it leads")
	}
	if got := w.get("http://" + standby.address + "/metrics"); !strings.Contains(got, "\ndavit_leader 0\n") {
		t.Error("the standby does not tell that it stands by")
	}
}

// traceOfRollback wants one trace, found by the commit, that covers the stages in order and ends with what came of it.
func traceOfRollback(t *testing.T, w *watched, commit string) {
	c := w.spans
	w.until("the trace has come", func() bool { // spans come in batches
		return len(c.ended(commit, "release", inProduction, "Failed")) > 0 && len(c.ended(commit, "rollback", inProduction, "RolledBack")) > 0
	})
	failed, back := c.ended(commit, "release", inProduction, "Failed"), c.ended(commit, "rollback", inProduction, "RolledBack")
	if len(failed) != 1 || len(back) != 1 {
		t.Fatalf("%d spans of the release that failed, %d of its rollback in %v", len(failed), len(back), c.of(commit))
	}
	if got := c.stages(commit, failed[0]); got != "queue image objects apply health outcome" {
		t.Errorf("stages of the release: %s", got)
	}
	if got := c.stages(commit, back[0]); got != "image objects apply health outcome" {
		t.Errorf("stages of the rollback: %s", got)
	}
	if len(back[0].Links) != 1 || string(back[0].Links[0].SpanId) != string(failed[0].SpanId) {
		t.Errorf("the rollback is not linked with what failed: %v", back[0].Links)
	}
	if fact(failed[0], "davit.version") != "v3" || fact(failed[0], "davit.version.from") != "v1" || !c.services["davit"] {
		t.Errorf("facts of the release: %v", failed[0].Attributes)
	}
	for _, s := range c.of(commit) {
		if strings.Contains(s.String(), "3 values where 12") {
			t.Errorf("what a container wrote is in a span: %v", s)
		}
	}
	for _, s := range c.of(commit) {
		if s.Name == "commit" && string(s.SpanId) == string(failed[0].ParentSpanId) {
			if got := c.stages(commit, s); !strings.HasPrefix(got, "snapshot releases") {
				t.Errorf("stages of the commit: %s", got)
			}
			return
		}
	}
	t.Error("the release's span is no child of its commit's")
}

// killed wants the trace of a release to end with its outcome though the process that began it was killed.
func killed(t *testing.T, w *watched, leader, standby *process) {
	w.edit("environments/production/environment.yaml", "bake: 1s", "bake: 20s")
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	commit := w.commit("promote iris to v2")
	leader.comes(inProduction, v1alpha1.Progressing, 4)
	pageAfter(t, w, leader)
	standby.comes(inProduction, v1alpha1.Healthy, 1)
	w.until("the rest of the trace has come", func() bool { return len(w.spans.ended(commit, "release", inProduction, "Healthy")) == 1 })
	rest := w.spans.ended(commit, "release", inProduction, "Healthy")[0]
	if fact(rest, "davit.resumed") != "true" || w.spans.stages(commit, rest) != "image objects apply health outcome" {
		t.Errorf("the rest: %v, stages %s", rest.Attributes, w.spans.stages(commit, rest))
	}
}

// prometheus starts one that scrapes a controller and has davit's rules; it gives its address.
func (w *watched) prometheus(target string) (address string) {
	w.t.Helper()
	dir := w.t.TempDir()
	rules, err := filepath.Abs("../../deploy/observability/rules.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n- {job_name: davit, static_configs: [{targets: [%q]}]}\n", rules, target)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		w.t.Fatal(err)
	}
	address = w.free()
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("starting prometheus: %v; make deps installs it", err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		log.Close()
	})
	w.until("Prometheus is ready", func() bool { return strings.Contains(w.get("http://"+address+"/-/ready"), "Ready") })
	return address
}

// query asks Prometheus, and gives the number of series in the answer.
func (w *watched) query(address, expr string) (series int, err error) {
	var answer struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(w.get("http://"+address+"/api/v1/query?query="+url.QueryEscape(expr))), &answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s", answer.Error)
	}
	var result []any
	err = json.Unmarshal(answer.Data.Result, &result)
	return len(result), err
}

// idle are the metrics of what this story does not have: trainings that ran, and receivers of notifications.
var idle = []string{"davit_training_run_seconds", "davit_training_runs_active", "davit_notifications_total", "davit_gpus_requested"}

// queried has Prometheus evaluate every query of the rules and the dashboard.
func queried(t *testing.T, w *watched, address string) {
	w.until("Prometheus has seen the rollback", func() bool {
		n, err := w.query(address, `davit_rollbacks_total{by="davit"} > 0 and increase(davit_rollbacks_total[10m]) > 0`)
		return err == nil && n == 1
	})
	known := map[string]bool{}
	for _, f := range davitmetrics.New("").Reference() {
		known[f.Name] = true
		name := f.Name
		if f.Type == "histogram" {
			name += "_bucket"
		}
		if n, err := w.query(address, name); err != nil || (n == 0) != slices.Contains(idle, f.Name) {
			t.Errorf("%s has %d series, %v", name, n, err)
		}
	}
	for line := range strings.Lines(w.get("http://" + w.target(address) + "/metrics")) {
		if name, ok := strings.CutPrefix(line, "# TYPE davit_"); ok && !known["davit_"+strings.Fields(name)[0]] {
			t.Errorf("davit_%s is exported and not in the reference", name)
		}
	}
	for _, expr := range expressions(t) {
		n, err := w.query(address, expr)
		switch {
		case err != nil:
			t.Errorf("%s: %v", expr, err)
		case n == 0 && !mayBeEmpty(expr):
			t.Errorf("%s: no series", expr)
		}
	}
	if n, err := w.query(address, `ALERTS{alertname="DavitReleaseFailed"}`); err != nil || n != 0 {
		t.Errorf("%d alerts of a release that went back, %v", n, err)
	}
}

// target is what a Prometheus scrapes.
func (w *watched) target(address string) string {
	var answer struct {
		Data struct{ ActiveTargets []struct{ ScrapeURL string } }
	}
	if err := json.Unmarshal([]byte(w.get("http://"+address+"/api/v1/targets")), &answer); err != nil || len(answer.Data.ActiveTargets) != 1 {
		w.t.Fatalf("targets: %v %v", answer, err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(answer.Data.ActiveTargets[0].ScrapeURL, "http://"), "/metrics")
}

// condition ends the query of an alert; it is to find nothing when all is well.
var condition = regexp.MustCompile(` (>|==) [0-9.]+( \+ .+)?$`)

// mayBeEmpty says that a query asks for what the story does not have.
func mayBeEmpty(expr string) bool {
	return slices.ContainsFunc(idle, func(name string) bool { return strings.Contains(expr, name) }) ||
		strings.Contains(expr, `phase=~"Failed|Held"`) || strings.Contains(expr, `phase="Broken"`) || strings.Contains(expr, `code=~"401|403"`) || strings.Contains(expr, `code=~"5..|error"`)
}

// expressions are the queries of all alerts, without their conditions, and of all panels.
func expressions(t *testing.T) (out []string) {
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	data, err := os.ReadFile("../../deploy/observability/rules.yaml")
	if err == nil {
		err = yaml.Unmarshal(data, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			out = append(out, condition.ReplaceAllString(strings.TrimPrefix(r.Expr, "absent(davit_leader) or "), ""))
		}
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	data, err = os.ReadFile("../../deploy/observability/dashboard.json")
	if err == nil {
		err = json.Unmarshal(data, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	as := strings.NewReplacer("$registry", ".*", "$environment", ".*", "$__rate_interval", "1m")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			out = append(out, as.Replace(target.Expr))
		}
	}
	if len(out) < 40 {
		t.Fatalf("%d queries", len(out))
	}
	return out
}
