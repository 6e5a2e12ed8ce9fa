package gitops

import "time"

// RunsRef is the ledger of training runs: a commit whose tree has a file for each run, <its hash's first two
// digits>/<its hash>.json. What is in it happened, whatever becomes of the branch, the cluster or its objects. It shares no
// commit with a branch, so one that is rewritten leaves it alone. Git fetches and prunes it nowhere by itself: plain clones
// do not have it, `git ls-remote REMOTE refs/davit/runs` shows it, and `git log -p` does after `git fetch REMOTE
// refs/davit/runs`, as FETCH_HEAD. A `git push --mirror` from a clone without it removes it.
const RunsRef = ownRuns + "runs"

// ownRuns begins the ledger's ref, and any to come beside it.
const ownRuns = "refs/davit/"

// RunState is how far a run came. It only goes forward: Claimed, Started, and one of the others, which are the end.
type RunState string

// The states of a run.
const (
	RunClaimed   RunState = "Claimed"   // its objects may exist
	RunStarted   RunState = "Started"   // its objects existed
	RunSucceeded RunState = "Succeeded" // its image is published
	RunFailed    RunState = "Failed"
	RunCanceled  RunState = "Canceled"
	RunLost      RunState = "Lost" // its objects are gone, and nobody knows what came of it
)

// order is how far a state is; states of the same order do not follow each other. A word that is none has no order.
func (s RunState) order() (n int, ok bool) {
	switch s {
	case RunClaimed:
		return 0, true
	case RunStarted:
		return 1, true
	case RunSucceeded, RunFailed, RunCanceled, RunLost:
		return 2, true
	}
	return 0, false
}

// Ended says that nothing more comes of the run.
func (s RunState) Ended() bool { return s != "" && s != RunClaimed && s != RunStarted }

// Run is one execution of a training, as the ledger has it.
type Run struct {
	// Hash is that of the resolved spec, 64 hex digits, by which it happens once; Name is the run's and its objects' name.
	Hash string `json:"hash"`
	Name string `json:"name"`
	// Training is "model/name", Commit the one whose tree asked for the run, in Environment.
	Training    string `json:"training"`
	Environment string `json:"environment"`
	Commit      string `json:"commit"`
	// Trial are the values that a sweep gave the run, by their hyperparameters; nil for a run that was claimed for none.
	Trial map[string]string `json:"trial,omitempty"`
	// Cluster tells the cluster that it was claimed for from others: the UID of its namespace kube-system.
	Cluster string `json:"cluster,omitempty"`
	// GPUs is how many it takes, on all its nodes.
	GPUs int `json:"gpus,omitempty"`
	// Controller is who claimed it, as outcomes in Git call it.
	Controller string `json:"controller,omitempty"`
	// Nonce tells one claim from another, of the same controller too: who claims knows by it that the record is his,
	// though the answer to his push got lost. [Ledger.ClaimRun] makes it.
	Nonce string   `json:"nonce,omitempty"`
	State RunState `json:"state"`
	// Reason is one word, Message a line for people.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Image is the model image that came of it, repository@sha256:…, with its metrics.
	Image   string             `json:"image,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Version is the name that the version has which was made of it, once it was proposed.
	Version string    `json:"version,omitempty"`
	Claimed time.Time `json:"claimed,omitzero"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}
