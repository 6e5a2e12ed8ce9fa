package fleet_test

import (
	"testing"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestTimelineLive: what a commit comes to on a cluster is in the timeline and at the model, also where nothing is noted in Git.
func TestTimelineLive(t *testing.T) {
	w := newWorld(t, nil)
	timeline := func() *fleet.Timeline {
		out, err := w.Timeline(t.Context(), fleet.Viewer{}, name, fleet.TimelineQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	w.until("both are healthy", func() bool {
		got := timeline()
		return len(got.Commits) == 1 && len(got.Commits[0].Releases) == 2 && got.Commits[0].State == fleet.Well &&
			got.Commits[0].Releases[0].Outcome == "Healthy" && got.Commits[0].Releases[1].Outcome == "Healthy"
	})
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	bad := w.commit("production/iris to v3")
	w.until("v3 is told as rolled back", func() bool {
		got := timeline()
		return got.Commits[0].Commit == bad && got.Commits[0].State == fleet.Stopped
	})
	got := timeline()
	if e := got.Commits[0].Releases[0]; e.Outcome != "RolledBack" || e.To != "v3" || got.Commits[0].URL == "" {
		t.Errorf("%+v", e)
	}
	w.until("v1 is told to serve, and v3 held", func() bool {
		m, err := w.Model(t.Context(), fleet.Viewer{}, name, "iris", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Serves {
			if s.Environment == "production" {
				return s.Version == "v1" && s.Held == "v3" && s.Next == ""
			}
		}
		return false
	})
}
