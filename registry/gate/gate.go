// Package gate says whether a release may be promoted to its version: it holds what the registry tells against the
// policies of the environment and the model. It knows nothing of Git, clusters and clocks: what the files do not tell comes
// in [Facts]. It is asked three times: when people validate, when they plan, and before anything is applied.
package gate

import (
	"io/fs"
	"slices"
	"time"

	"github.com/davit-dev/davit/registry"
)

// State is how a gate stands.
type State string

// The states of a gate.
const (
	Passed  State = "passed"
	Failed  State = "failed"  // a change of files opens it
	Waiting State = "waiting" // time opens it
	Unknown State = "unknown" // only who knows the cluster can tell
)

// Finding is how one gate stands.
type Finding struct {
	// Gate is the policy's field and the name in it: "metrics/auc", "healthyIn/staging", "evidence/model-card",
	// "approvals/risk".
	Gate  string `json:"gate"`
	State State  `json:"state"`
	// Message is one sentence: what is wanted, what there is, and what to do.
	Message string `json:"message"`
	// Until is when time opens the gate, where that is known.
	Until time.Time `json:"until,omitzero"`
}

// Facts are what the files do not tell. The zero value knows nothing.
type Facts struct {
	// Now is the present; where it is zero, what depends on it is Unknown.
	Now time.Time
	// Serving is the version served now in the environment; nil when there is none.
	Serving *registry.ModelVersion
	// HealthyIn says since when the release of the same name in another environment has been healthy at the promoted version,
	// without interruption until now; a zero time when it is not healthy at that version. Nil, or known false, when nobody
	// can tell.
	HealthyIn func(environment string) (since time.Time, known bool)
	// Floor is a policy that no file can lower; nothing of its own when nil.
	Floor *registry.Policy
}

// Policy is what holds in a release's environment: its own policy and the floor.
func Policy(r *registry.Release, floor *registry.Policy) registry.Policy {
	if floor == nil {
		return r.Environment.Spec.Policy
	}
	return r.Environment.Spec.Policy.And(*floor)
}

// Gates are all those of a release: its environment's, the floor's and its model's.
func Gates(r *registry.Release, floor *registry.Policy) registry.Gates {
	return Policy(r, floor).Gates.And(r.Model.Spec.Gates[r.Environment.Name])
}

// Check holds a release, as fsys has it, against its gates, each finding in the order of the gates' names. It looks at a
// promotion: for a release that has its version already, nobody asks. Errors are those of reading fsys.
func Check(fsys fs.FS, r *registry.Release, facts Facts) ([]Finding, error) {
	gates := Gates(r, facts.Floor)
	findings := metrics(r, gates, facts.Serving)
	findings = append(findings, healthyIn(r, gates, facts)...)
	shown, err := evidence(fsys, r, gates)
	if err != nil {
		return nil, err
	}
	approved, err := approvals(fsys, r, gates, Policy(r, facts.Floor))
	if err != nil {
		return nil, err
	}
	return slices.Concat(findings, shown, approved), nil
}

// Closed are the findings that keep a promotion back: the failed and the waiting ones.
func Closed(findings []Finding) (closed []Finding) {
	for _, f := range findings {
		if f.State == Failed || f.State == Waiting {
			closed = append(closed, f)
		}
	}
	return closed
}

// Frozen is the freeze of a policy that holds at a moment and ends last, and when; nil when none holds.
func Frozen(p registry.Policy, now time.Time) (freeze *registry.Freeze, until time.Time) {
	for i, f := range p.Freeze {
		if end, frozen := f.Active(now); frozen && end.After(until) {
			freeze, until = &p.Freeze[i], end
		}
	}
	return freeze, until
}
