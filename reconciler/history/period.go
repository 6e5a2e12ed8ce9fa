package history

import (
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The outcomes that events have beside the phases of a release.
const (
	pinned  = "Pinned"  // a person turned away from the revision
	removed = "Removed" // the release is no more
)

// Period is a time in which a revision served.
type Period struct {
	// From is when its objects were applied, or when it was first healthy where that is not known.
	From time.Time `json:"from"`
	// Settled is when its outcome was known; until then the rollout was under way.
	Settled time.Time `json:"settled,omitzero"`
	// Until is when another revision was applied in its stead. Zero: it serves still.
	Until time.Time `json:"until,omitzero"`

	commit  gitops.Hash
	version string       // of the model then: a pin may serve another one than the commit's files say
	event   gitops.Event // the one that settled it
}

// holds says whether a time is in the period.
func (p Period) holds(t time.Time) bool {
	return !t.Before(p.From) && (p.Until.IsZero() || t.Before(p.Until))
}

// Length is how long it served; until now for one that serves still.
func (p Period) Length(now time.Time) time.Duration {
	if !p.Until.IsZero() {
		now = p.Until
	}
	return max(0, now.Sub(p.From))
}

// periods tells from the outcomes of one release, in order of time, what served when. Nothing is guessed: a revision
// whose objects were never said to be applied, and that was never healthy, did not serve.
func periods(events []gitops.Noted) []Period {
	var t timeline
	for _, e := range events {
		switch e.Outcome {
		case string(v1alpha1.Healthy):
			began := e.Applied
			if began.IsZero() {
				began = e.At
			}
			t.serve(e.Commit, e.Version, began, e)
		case string(v1alpha1.Failed), string(v1alpha1.Superseded):
			if !e.Applied.IsZero() {
				t.serve(e.Commit, e.Version, e.Applied, e)
			}
		case string(v1alpha1.RolledBack), pinned:
			if !e.Applied.IsZero() && e.Outcome != pinned {
				t.serve(e.Commit, e.Version, e.Applied, e)
			}
			if good := gitops.ParseHash(e.Event.Commit); !good.IsZero() {
				t.serve(good, e.Serves, e.At, e)
			} else if p := t.now(); p != nil && p.commit == e.Commit {
				p.Until = e.At
			}
		case removed:
			if p := t.now(); p != nil {
				p.Until = e.At
			}
		}
	}
	return t
}

type timeline []Period

// now is the period that is not over, or nil.
func (t timeline) now() *Period {
	if n := len(t); n > 0 && t[n-1].Until.IsZero() {
		return &t[n-1]
	}
	return nil
}

// serve says that a version of a commit served from then on; that it does already changes nothing.
func (t *timeline) serve(commit gitops.Hash, version string, from time.Time, e gitops.Noted) {
	if p := t.now(); p != nil {
		if p.commit == commit && p.version == version {
			return
		}
		if from.Before(p.From) { // clocks differ, or a rollout was cut short by the next
			from = p.From
		}
		p.Until = from
	}
	*t = append(*t, Period{From: from, Settled: e.At, commit: commit, version: version, event: e.Event})
}
