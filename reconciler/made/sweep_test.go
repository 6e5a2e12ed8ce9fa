package made_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
)

// swept is a sweep's best run, of as many trials, the later the better; one in five failed, and the first told no metric.
func swept(t *testing.T, goal string, trials int) made.Made {
	t.Helper()
	m := result(t, load(t, files(t)), "iris/tune")
	s := &made.Sweep{Spec: registry.Sweep{Metric: "loss", Goal: goal, Hyperparameters: map[string][]registry.Hyperparameter{"lr": nil, "depth": nil}}}
	for i := range trials {
		run := gitops.Run{Name: fmt.Sprintf("tune-%08d", i), Hash: fmt.Sprint(i), State: gitops.RunSucceeded,
			Trial: map[string]string{"lr": fmt.Sprint(i), "depth": "3"}, Metrics: map[string]float64{"loss": 1 / float64(i+1)}}
		switch {
		case i == 0:
			run.Metrics = nil
		case i%5 == 0:
			run.State, run.Metrics = gitops.RunFailed, nil
		}
		s.Runs = append(s.Runs, run)
	}
	m.Sweep, m.Run.Hash = s, fmt.Sprint(trials-1)
	return m
}

func TestSweepText(t *testing.T) {
	_, few := swept(t, "min", 7).PullRequest(serving())
	_, many := swept(t, "max", 30).PullRequest(nil)
	_, untold := swept(t, "", 1).PullRequest(nil)
	if !strings.Contains(untold, "Of 1 trial this one is the first that succeeded, and none of those told `loss`:") {
		t.Error(untold)
	}
	golden(t, "testdata/sweep.txtar", &txtar.Archive{Files: []txtar.File{{Name: "few", Data: []byte(few)}, {Name: "many", Data: []byte(many)}}})
}

// TestSweepHostile: what a sweep's names, values and metrics say stays code, in as many cells as the head has.
func TestSweepHostile(t *testing.T) {
	for _, bad := range []string{"a|b", "`@acme`", "<img src=x>", "x\n\n# y", "x\u202ey", strings.Repeat("é|@", 5000)} {
		m := swept(t, bad, 1000)
		m.Sweep.Spec.Metric = bad
		for i := range 100 {
			name := fmt.Sprint(i, bad)
			m.Sweep.Spec.Hyperparameters[name] = nil
			for j := range m.Sweep.Runs {
				m.Sweep.Runs[j].Trial[name] = bad
				m.Sweep.Runs[j].Name = bad
				m.Sweep.Runs[j].State = gitops.RunState(bad)
			}
		}
		_, body := m.PullRequest(nil)
		if n := len([]rune(body)); n > 65_536 {
			t.Errorf("%.20q: %d characters", bad, n)
		}
		_, table, _ := strings.Cut(body, "**Trials**")
		table, _, _ = strings.Cut(table, "**Metrics**")
		columns := 0
		for _, line := range strings.Split(table, "\n") {
			if !allowed.MatchString(bare(line)) {
				t.Errorf("%.20q: outside of code: %.200q", bad, bare(line))
				break
			}
			n := strings.Count(line, "|")
			if n > 0 && columns > 0 && n != columns {
				t.Errorf("%.20q: %d bars, want %d: %.200s", bad, n, columns, line)
			}
			columns = n
		}
	}
}
