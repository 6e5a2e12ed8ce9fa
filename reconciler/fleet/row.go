package fleet

import (
	"cmp"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Row is what a list tells of one release: what its ModelRelease says, in few words.
type Row struct {
	Registry    string `json:"registry"`
	Environment string `json:"environment"`
	Release     string `json:"release"`
	Namespace   string `json:"namespace"`
	Model       string `json:"model"`
	// Team is whose folder the release is in; "" for none.
	Team string `json:"team,omitempty"`
	// Version is what serves, Next what is on its way there, Healthy the last healthy one where that is another, Held what
	// failed and is held back.
	Version string `json:"version,omitempty"`
	Next    string `json:"next,omitempty"`
	Healthy string `json:"healthy,omitempty"`
	Held    string `json:"held,omitempty"`
	// Phase is Progressing, too, while a claim has no outcome.
	Phase v1alpha1.Phase `json:"phase,omitempty"`
	// Reason is one CamelCase word.
	Reason string `json:"reason,omitempty"`
	// Since is when Version was applied.
	Since     time.Time `json:"since,omitzero"`
	Commit    string    `json:"commit,omitempty"`
	Author    string    `json:"author,omitempty"`
	GPUs      int       `json:"gpus,omitempty"`
	Pinned    bool      `json:"pinned,omitempty"`
	Suspended bool      `json:"suspended,omitempty"`
	Drifted   bool      `json:"drifted,omitempty"`
	// Weight is the share of requests that a canary gets, in percent; 0 where none is under way.
	Weight int `json:"weight,omitempty"`
	// Proposed is where the promotion that waits for the release is: a pull request or a branch.
	Proposed string `json:"proposed,omitempty"`

	key    registry.Key
	owner  string
	served bool // it was healthy once
}

// newRow keeps of a ModelRelease what lists tell. Its texts are cloned: they must not hold the whole of it in memory.
func newRow(mr *v1alpha1.ModelRelease) *Row {
	st := &mr.Status
	r := &Row{
		Environment: mr.Spec.Environment, Release: mr.Spec.Release, Namespace: mr.Namespace, Model: st.Model,
		Version: st.Applied.Version, Phase: phase(mr), Reason: st.Reason, Since: st.Applied.Time.Time, Commit: st.Applied.Commit,
		Author: strings.Clone(st.Author), GPUs: int(st.Applied.GPUs), Pinned: mr.Spec.Pin != nil, Suspended: mr.Spec.Suspend != nil,
		Drifted: len(st.Drift) > 0, key: registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}, owner: mr.Spec.Owner, served: st.Healthy.Commit != "",
	}
	if r.Phase != st.Phase {
		r.Reason = "" // it was that of what is over
	}
	if next := mr.Spec.Claim.Version; mr.Pending() && next != r.Version {
		r.Next = next
	}
	r.shift(mr)
	if st.Healthy.Version != r.Version {
		r.Healthy = st.Healthy.Version
	}
	if st.Held != nil {
		r.Held = st.Held.Version
	}
	if p := st.Promotion; p != nil && !p.Declined && p.Version != r.Version {
		r.Proposed = p.Where
	}
	return r
}

// shift tells of traffic that goes from one revision to another: the healthy one has it, but for the weight.
func (r *Row) shift(mr *v1alpha1.ModelRelease) {
	t, healthy := mr.Status.Traffic, mr.Status.Healthy
	if t == nil || t.Next == "" {
		return
	}
	r.Weight = int(t.Weight)
	if healthy.Commit == "" {
		return
	}
	r.Version, r.Commit, r.Since = healthy.Version, healthy.Commit, healthy.Time.Time
	if applied := mr.Status.Applied.Version; r.Next == "" && applied != r.Version {
		r.Next = applied
	}
}

// phase is Progressing, too, while a claim has no outcome.
func phase(mr *v1alpha1.ModelRelease) v1alpha1.Phase {
	if mr.Pending() && mr.Status.Phase != v1alpha1.Waiting {
		return v1alpha1.Progressing
	}
	return mr.Status.Phase
}

func byRelease(a, b *Row) int {
	return cmp.Or(strings.Compare(a.Release, b.Release), strings.Compare(a.Environment, b.Environment))
}
