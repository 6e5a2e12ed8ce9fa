// Package runs joins what is known of the runs of trainings: what the ledger recorded, how it stands in the cluster, and
// what the files ask for and nobody has begun.
//
// It is asked by whoever shows runs, the command line and the web page, and reads nothing by itself: what a Git repository
// and clusters have is given to it. It decides nothing, and starts nothing.
package runs

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// Run is one run, or a training that has none yet.
type Run struct {
	// Run is its name; "" of a training that waits for its schedule.
	Run  string `json:"run"`
	Hash string `json:"hash,omitempty"`
	// Training is "model/name".
	Training    string `json:"training"`
	Environment string `json:"environment"`
	// Trial are the values that a sweep gave it; nil for what is no trial.
	Trial map[string]string `json:"trial,omitempty"`
	// State is the ledger's once the run ended, before that the cluster's where it is known, and without a run "NotStarted", or "Waiting" for
	// the schedule.
	State    string             `json:"state"`
	Reason   string             `json:"reason,omitempty"`
	Message  string             `json:"message,omitempty"`
	Progress string             `json:"progress,omitempty"`
	Attempt  int                `json:"attempt,omitempty"`
	GPUs     int                `json:"gpus"`
	Nodes    int                `json:"nodes,omitempty"`
	Where    []string           `json:"where,omitempty"`
	Version  string             `json:"version,omitempty"`
	Image    string             `json:"image,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Commit   string             `json:"commit,omitempty"`
	Claimed  time.Time          `json:"claimed,omitzero"`
	Started  time.Time          `json:"started,omitzero"`
	Ended    time.Time          `json:"ended,omitzero"`
	// Next is when the schedule has its data looked at, of a training that waits for that.
	Next time.Time `json:"next,omitzero"`
	// Kept says that its record is in the cluster alone.
	Kept bool `json:"kept,omitempty"`
}

// The states that no ledger and no cluster has.
const (
	NotStarted = "NotStarted" // the files ask for it, and nobody began it
	Waiting    = "Waiting"    // for its schedule, or for room in its sweep
)

// endedLately is how long a run matters after its end.
const endedLately = 24 * time.Hour

func fromLedger(run gitops.Run) Run {
	return Run{
		Run: run.Name, Hash: run.Hash, Training: run.Training, Environment: run.Environment, Trial: run.Trial, State: string(run.State),
		Reason: run.Reason, Message: run.Message, Version: run.Version, Image: run.Image, Metrics: run.Metrics, Commit: run.Commit,
		Claimed: run.Claimed, Started: run.Started, Ended: run.Ended, GPUs: run.GPUs,
	}
}

// add is what the cluster knows. Of a run that ended the ledger has the word.
func (r *Run) add(live cluster.RunStatus) {
	r.GPUs, r.Nodes, r.Where, r.Attempt = live.GPUs, live.Nodes, live.Where, live.Attempt
	if r.Started.IsZero() {
		r.Started = live.Started
	}
	if gitops.RunState(r.State).Ended() {
		return
	}
	r.State, r.Reason, r.Message, r.Progress, r.Ended = string(live.Phase), live.Reason, live.Message, live.Progress, live.Ended
}

func (r *Run) age(now time.Time) time.Duration {
	if r.Claimed.IsZero() {
		return 0
	}
	return now.Sub(r.Claimed)
}

// Elapsed counts from the first container's start, or from the claim while there was none; false where neither is known.
func (r *Run) Elapsed(now time.Time) (time.Duration, bool) {
	from, to := r.Started, r.Ended
	if from.IsZero() {
		from = r.Claimed
	}
	if to.IsZero() {
		to = now
	}
	return to.Sub(from), !from.IsZero() && !to.Before(from)
}

// Standing is the state with what matters most about it, and a mark on what the cluster keeps alone.
func (r *Run) Standing() string {
	if r.Kept {
		return r.standing() + " (kept in the cluster)"
	}
	return r.standing()
}

func (r *Run) standing() string {
	switch {
	case !r.Next.IsZero():
		return r.State + " until " + r.Next.Format(time.RFC3339)
	case r.State == string(gitops.RunSucceeded) && r.Version != "":
		return r.State + " → " + r.Version
	case r.State == string(cluster.RunQueued), r.State == Waiting:
		return r.State + ": " + cmp.Or(r.Message, r.Reason, "no reason is known")
	case r.Progress != "":
		return r.State + " " + r.Progress
	case r.Reason != "" && r.Reason != r.State && r.State != string(gitops.RunSucceeded):
		return r.State + ": " + r.Reason
	}
	return r.State
}

// Values are such as "depth=3 lr=0.1": what the sweep gave a trial.
func (r *Run) Values() string {
	var all []string
	for name, value := range r.Trial {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Matters says whether a run is under way, ended lately, or waits for a person to merge what it made.
func (r *Run) Matters(models *registry.Registry, now time.Time) bool {
	switch {
	case r.State == NotStarted:
		return false
	case r.Ended.IsZero(), now.Sub(r.Ended) < endedLately:
		return true
	}
	return r.State == string(gitops.RunSucceeded) && !r.Merged(models)
}

// Merged says whether the registry here has what the run made, or never will: of a sweep's trials the best alone makes a
// version, and a model may be gone.
func (r *Run) Merged(models *registry.Registry) bool {
	if r.Trial != nil && r.Version == "" && !r.Kept {
		return true
	}
	model, _, _ := strings.Cut(r.Training, "/")
	m := models.Models[model]
	if m == nil {
		return true
	}
	for name, v := range m.Versions {
		if v.Spec.Lineage.TrainedBy == r.Run || name == r.Version {
			return true
		}
	}
	return false
}

// ToDo is the command that helps, or what is waited for; "" for nothing.
func (r *Run) ToDo(models *registry.Registry) string {
	model, _, _ := strings.Cut(r.Training, "/")
	switch gitops.RunState(r.State) {
	case gitops.RunSucceeded:
		switch {
		case r.Merged(models):
			return ""
		case r.Version == "" && r.Kept:
			return "davit train version " + r.Run
		case r.Version == "":
			return "its version is being proposed"
		}
		return "merge davit/train/" + model + "/" + r.Version
	case gitops.RunFailed, gitops.RunLost:
		return "davit train again " + r.Training
	}
	return ""
}
