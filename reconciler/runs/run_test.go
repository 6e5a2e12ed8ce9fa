package runs

import (
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// TestRuns holds which runs matter, and what each asks of a person.
func TestRuns(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	long, lately := now.Add(-48*time.Hour), now.Add(-time.Hour)
	made := &registry.ModelVersion{Name: "v2"}
	made.Spec.Lineage.TrainedBy = "fit-0123"
	models := &registry.Registry{Models: map[string]*registry.Model{"iris": {Versions: map[string]*registry.ModelVersion{"v2": made}}}}
	succeeded, failed := string(gitops.RunSucceeded), string(gitops.RunFailed)
	for name, c := range map[string]struct {
		run     Run
		matters bool
		want    string
	}{
		"not started":            {Run{State: NotStarted}, false, ""},
		"under way":              {Run{State: "Running"}, true, ""},
		"failed lately":          {Run{State: failed, Ended: lately}, true, "davit train again iris/fit"},
		"failed long ago":        {Run{State: failed, Ended: long}, false, "davit train again iris/fit"},
		"not merged yet":         {Run{State: succeeded, Ended: long, Version: "v3"}, true, "merge davit/train/iris/v3"},
		"merged":                 {Run{State: succeeded, Ended: long, Version: "v2"}, false, ""},
		"merged by another name": {Run{Run: "fit-0123", State: succeeded, Ended: long, Version: "v3"}, false, ""},
		"to be proposed":         {Run{State: succeeded, Ended: lately}, true, "its version is being proposed"},
		"kept":                   {Run{Run: "fit-9", State: succeeded, Ended: long, Kept: true}, true, "davit train version fit-9"},
		"a trial":                {Run{State: succeeded, Ended: long, Trial: map[string]string{}}, false, ""},
		"a model that is gone":   {Run{Training: "rose/fit", State: succeeded, Ended: long, Version: "v1"}, false, ""},
	} {
		if c.run.Training == "" {
			c.run.Training = "iris/fit"
		}
		if matters, got := c.run.Matters(models, now), c.run.ToDo(models); matters != c.matters || got != c.want {
			t.Errorf("%s: %v %q, want %v %q", name, matters, got, c.matters, c.want)
		}
	}
}
