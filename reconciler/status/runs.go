package status

import (
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Run is what is to be known of a training's run to say whether it needs a person.
type Run struct {
	Name string
	// Training is MODEL/NAME.
	Training string
	// State is the ledger's once the run ended, or the cluster's; what was not started is NotStarted or waits for its schedule.
	State string
	Ended time.Time
	// Version is what it made; "" before that is proposed, and for a trial that is not the best.
	Version string
	// Trial says that it is one of a sweep, Kept that its record is in the cluster alone.
	Trial, Kept bool
}

// NotStarted is the state of a run that the files ask for and that nobody began.
const NotStarted = "NotStarted"

// endedLately is how long a run is shown after its end.
const endedLately = 24 * time.Hour

// Matters says whether a run is under way, ended lately, or waits for a person to merge what it made.
func (r Run) Matters(models *registry.Registry, now time.Time) bool {
	switch {
	case r.State == NotStarted:
		return false
	case r.Ended.IsZero(), now.Sub(r.Ended) < endedLately:
		return true
	}
	return r.State == string(gitops.RunSucceeded) && !r.merged(models)
}

// merged says whether the registry has what the run made, or never will: of a sweep's trials the best alone makes a version,
// and a model may be gone.
func (r Run) merged(models *registry.Registry) bool {
	if r.Trial && r.Version == "" && !r.Kept {
		return true
	}
	model, _, _ := strings.Cut(r.Training, "/")
	m := models.Models[model]
	if m == nil {
		return true
	}
	for name, v := range m.Versions {
		if v.Spec.Lineage.TrainedBy == r.Name || name == r.Version {
			return true
		}
	}
	return false
}

// ToDo is the command that helps, what is waited for, or "-".
func (r Run) ToDo(models *registry.Registry) string {
	model, _, _ := strings.Cut(r.Training, "/")
	switch gitops.RunState(r.State) {
	case gitops.RunSucceeded:
		switch {
		case r.merged(models):
			return "-"
		case r.Version == "" && r.Kept:
			return "davit train version " + r.Name
		case r.Version == "":
			return "its version is being proposed"
		}
		return "merge davit/train/" + model + "/" + r.Version
	case gitops.RunFailed, gitops.RunLost:
		return "davit train again " + r.Training
	}
	return "-"
}
