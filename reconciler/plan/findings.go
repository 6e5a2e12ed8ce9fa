package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry/gate"
)

// Finding is what a policy says to the change.
type Finding struct {
	Level Level `json:"level"`
	Kind  Kind  `json:"kind"`
	// Environment and Release (ENV/RELEASE) say what it is about, where it is about one.
	Environment string `json:"environment,omitempty"`
	Release     string `json:"release,omitempty"`
	// Gate and State are a gate's, as [gate.Finding] has them.
	Gate  string     `json:"gate,omitempty"`
	State gate.State `json:"state,omitempty"`
	// Message is one sentence, with what to do.
	Message string `json:"message"`
	// Fields are those of a policy that differ, where the change changes one.
	Fields []Field `json:"fields,omitempty"`
	// Until is when time opens it, where that is known.
	Until time.Time `json:"until,omitzero"`
}

// Level is how much a finding asks of the reviewer.
type Level string

// The levels, in the order of a plan.
const (
	Blocks Level = "blocks" // only a change of files helps
	Look   Level = "look"   // nothing stops it, and a person should look at it
	Waits  Level = "waits"  // people or time open it
	Later  Level = "later"  // whoever knows the cluster checks it
	Tells  Level = "tells"  // good to know
	Holds  Level = "holds"  // a gate that is open
)

var levels = []Level{Blocks, Look, Waits, Later, Tells, Holds}

// Kind is which policy speaks.
type Kind string

// The kinds of findings.
const (
	KindBroken    Kind = "broken"
	KindGate      Kind = "gate"
	KindQuota     Kind = "quota"
	KindDeletions Kind = "deletions"
	KindPolicy    Kind = "policy"  // the change changes a policy
	KindMark      Kind = "mark"    // a version is marked bad, or is not any more
	KindVersion   Kind = "version" // what a version says of itself is changed
	KindFreeze    Kind = "freeze"
	KindWaves     Kind = "waves"
	KindTraining  Kind = "training" // what keeps a run from starting
)

var kinds = []Kind{KindBroken, KindGate, KindQuota, KindDeletions, KindPolicy, KindMark, KindVersion, KindFreeze, KindWaves, KindTraining}

func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level)),
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)),
			strings.Compare(a.Environment, b.Environment), strings.Compare(a.Release, b.Release), strings.Compare(a.Gate, b.Gate))
	})
}
