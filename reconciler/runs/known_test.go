package runs_test

import (
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

// TestAll joins the ledger with the cluster: of what ended the ledger has the word, of the rest the cluster.
func TestAll(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	ago := func(m int) time.Time { return now.Add(-time.Duration(m) * time.Minute) }
	run := func(name string, state gitops.RunState, claimed int) gitops.Run {
		return gitops.Run{Hash: name + "-hash", Name: name, Training: "iris/tune", Environment: "lab", State: state, Claimed: ago(claimed)}
	}
	done, failed := run("tune-1", gitops.RunSucceeded, 50), run("tune-2", gitops.RunFailed, 40)
	done.Version, done.Started, done.Ended = "v2", ago(49), ago(44)
	failed.Reason = "OOMKilled"
	k := &runs.Known{Models: &registry.Registry{}, Now: now, Ledger: map[string]gitops.Run{
		"1": done, "2": failed, "3": run("tune-3", gitops.RunStarted, 30), "4": run("tune-4", gitops.RunClaimed, 20), "5": run("tune-5", gitops.RunStarted, 15),
	}, Live: []cluster.RunStatus{
		{Name: "tune-1", Training: "iris/tune", Phase: cluster.RunFailed, Reason: "BackoffLimitExceeded", GPUs: 2, Where: []string{"n1"}},
		{Name: "tune-3", Training: "iris/tune", Phase: cluster.RunRunning, Progress: "120/2000 loss=0.31", Started: ago(10)},
		{Name: "tune-4", Training: "iris/tune", Phase: cluster.RunQueued, Reason: "Pending", Message: "no quota"},
		{Name: "tune-5", Training: "other/tune", Phase: cluster.RunRunning, Created: ago(5)},
	}}
	rows, err := k.All()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		training, run, state string
		elapsed              int
	}{
		{"other/tune", "tune-5", "Running", 5},
		{"iris/tune", "tune-5", "Started", 15},
		{"iris/tune", "tune-4", "Queued: no quota", 20},
		{"iris/tune", "tune-3", "Running 120/2000 loss=0.31", 10},
		{"iris/tune", "tune-2", "Failed: OOMKilled", 40},
		{"iris/tune", "tune-1", "Succeeded → v2", 5},
	}
	if len(rows) != len(want) {
		t.Fatalf("got %d rows, want %d: %+v", len(rows), len(want), rows)
	}
	for i, w := range want {
		r := &rows[i]
		if took, known := r.Elapsed(now); r.Training != w.training || r.Run != w.run || r.Standing() != w.state || !known || int(took.Minutes()) != w.elapsed {
			t.Errorf("row %d: got %s %s %q %s, want %v", i, r.Training, r.Run, r.Standing(), took, w)
		}
	}
	if done := rows[5]; done.GPUs != 2 || len(done.Where) != 1 {
		t.Errorf("of a run that ended the cluster still knows where: got %+v", done)
	}
}
