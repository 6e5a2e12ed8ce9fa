package fleet

import (
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Trouble is a time in which a release did not serve as its revision should have.
type Trouble struct {
	Environment string    `json:"environment"`
	Release     string    `json:"release"`
	From        time.Time `json:"from"`
	// Until is when it was rolled back, or healthy again; zero while it lasts.
	Until time.Time `json:"until,omitzero"`
	// Version failed, by Reason, as Commit had it.
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Commit  string `json:"commit"`
}

// troubles tells from the outcomes of one release when it was in trouble, oldest first. A revision that failed before its
// objects were applied is none: what served before it serves on.
func troubles(key registry.Key, events []gitops.Noted) (out []Trouble) {
	began := func(e gitops.Noted) time.Time {
		if e.Applied.IsZero() {
			return e.At
		}
		return e.Applied
	}
	slices.SortStableFunc(events, func(a, b gitops.Noted) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return began(a).Compare(began(b))
	})
	var now *Trouble
	begin := func(e gitops.Noted) {
		if now == nil && !e.Applied.IsZero() {
			now = &Trouble{key.Environment, key.Name, e.Applied, time.Time{}, e.Version, e.Reason, e.Commit.String()}
		}
	}
	end := func(at time.Time) {
		if now != nil {
			now.Until = at
			out, now = append(out, *now), nil
		}
	}
	for _, e := range events {
		switch e.Outcome {
		case string(v1alpha1.Failed):
			begin(e)
		case string(v1alpha1.RolledBack):
			begin(e)
			end(e.At)
		case string(v1alpha1.Healthy), string(v1alpha1.Pinned), "Removed":
			end(e.At)
		}
	}
	if now != nil {
		out = append(out, *now)
	}
	return out
}
