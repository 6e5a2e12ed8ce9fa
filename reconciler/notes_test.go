package reconciler_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// noting has a reconciler write outcomes to Git.
func noting(c *reconciler.Config) { c.Notes = c.Source.NewNotes(gitops.Davit(), nil) }

// outcomes are the events in Git as "release version outcome", in order of time.
func (w *world) outcomes() (out []string) {
	w.t.Helper()
	for _, e := range w.events() {
		out = append(out, strings.Join([]string{e.Release, e.Version, e.Outcome}, " "))
	}
	return out
}

func (w *world) events() []gitops.Noted {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	defer source.Close()
	events, err := source.Events(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

// TestOutcomesInGit: what came of each revision is a note on its commit, with the reason, the exit code and what serves
// instead, and nothing that a container wrote.
func TestOutcomesInGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	good := w.git("rev-parse", "HEAD")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	bad := w.git("rev-parse", "HEAD")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.remove("releases/iris/staging.yaml")
	w.commit("staging goes")
	gone := w.git("rev-parse", "HEAD")
	w.until(staging, "v1", reconciler.Removed)
	stop() // what is not written yet is written now
	got := w.outcomes()
	for _, line := range []string{production + " v1 Healthy", staging + " v1 Healthy", production + " v3 Failed", production + " v3 RolledBack", staging + " v1 Removed"} {
		if n := slices.Index(got, line); n < 0 || slices.Contains(got[n+1:], line) {
			t.Errorf("%q is there %v; all: %q", line, n, got)
		}
	}
	for _, e := range w.events() {
		switch e.Outcome {
		case "Failed":
			if e.Commit.String() != bad || e.ExitCode == nil || *e.ExitCode != 1 || e.Reason != "CrashLoop" || e.From != "v1" || e.Log != "" {
				t.Errorf("failed: %+v", e)
			}
		case "RolledBack":
			if e.Commit.String() != bad || e.Serves != "v1" || e.Event.Commit != good || e.Applied.IsZero() {
				t.Errorf("rolled back: %+v", e)
			}
		case "Removed":
			if e.Commit.String() != gone {
				t.Errorf("removed: %+v", e)
			}
		}
	}
	if log := w.git("log", "-1", "--notes=davit", "--format=%N", bad); !strings.Contains(log, `"outcome":"RolledBack"`) {
		t.Errorf("git log says %q", log)
	}
}

// TestLogsInGit: what a container wrote is in the note only where the environment lets it, now and at the commit that
// failed: a pin does not bring back a permission that was taken away.
func TestLogsInGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "rollback: {onFailure: rollback}", "rollback: {onFailure: rollback, logs: true}")
	w.commit("logs may be told")
	stop := w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.edit("environments/production/environment.yaml", "logs: true", "logs: false")
	w.edit("releases/iris/production.yaml", "version: v3", "version: v1")
	w.commit("not any more")
	w.until(production, "v1", v1alpha1.Healthy)
	w.pin("HEAD~1", "")
	w.until(production, "v3", v1alpha1.Failed)
	stop()
	var logs []string
	for _, e := range w.events() {
		if e.Outcome == string(v1alpha1.Failed) {
			logs = append(logs, e.Log)
		}
	}
	if len(logs) != 2 || !strings.Contains(logs[0], "3 values where 12 are wanted") || logs[1] != "" {
		t.Errorf("logs in Git: %q", logs)
	}
}

// TestOutcomesOfAnEarlierProcess: one that could not write to Git leaves its outcomes in the ModelReleases, and the next
// one brings them into Git, once.
func TestOutcomesOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	stop()
	if got := w.outcomes(); len(got) > 0 {
		t.Fatalf("without notes: %q", got)
	}
	for range 2 {
		if err := w.reconciler(noting).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.outcomes(); len(got) != 3 || !slices.Contains(got, production+" v2 Healthy") {
		t.Errorf("outcomes: %q", got)
	}
}
