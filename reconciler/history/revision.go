package history

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Revision is a change and what came of it.
type Revision struct {
	Change
	// Events are its outcomes, oldest first; none when nothing was noted.
	Events []gitops.Event
	// Served lists when it served, oldest first; a rollback brings it back. Without events it is empty, and not guessed.
	Served []Period
}

// Outcome is the last of its outcomes, "" when none is known.
func (r *Revision) Outcome() string {
	if len(r.Events) == 0 {
		return ""
	}
	return r.Events[len(r.Events)-1].Outcome
}

// Reason is that of the last outcome, a CamelCase word and a sentence: of what was rolled back, why it failed.
func (r *Revision) Reason() (word, sentence string) {
	for _, e := range slices.Backward(r.Events) {
		if e.Reason+e.Message != "" || e.Outcome != string(v1alpha1.RolledBack) {
			return e.Reason, e.Message
		}
	}
	return "", ""
}

// Revisions are the changes that led to a tip, newest first, with what came of each.
func (h *History) Revisions(ctx context.Context, tip gitops.Hash, f Filter) ([]Revision, error) {
	v, err := h.view(ctx, tip)
	if err != nil {
		return nil, err
	}
	wanted := v.changes(f)
	of := map[string]bool{}
	for _, c := range wanted {
		of[c.Release.String()] = true
	}
	events, err := h.events(ctx, v.touched(of))
	if err != nil {
		return nil, err
	}
	places, chain := v.places(of), v.chain()
	sortEvents(events, chain)
	byRelease := grouped(events, of)
	known := map[registry.Key]map[int]*Revision{}
	out := make([]Revision, 0, len(wanted))
	for _, c := range wanted {
		if known[c.Release] == nil {
			known[c.Release] = join(byRelease[c.Release.String()], places[c.Release.String()], chain)
		}
		r := Revision{Change: c}
		if found := known[c.Release][c.position]; found != nil {
			r.Events, r.Served = found.Events, found.Served
		}
		out = append(out, r)
	}
	return out, nil
}

// LastHealthy is the newest revision of a release that was healthy, that nobody and nothing turned away from since, and
// whose version is another one; nil when there is none or outcomes are not known.
func (h *History) LastHealthy(ctx context.Context, tip gitops.Hash, key registry.Key, other string) (*Revision, error) {
	all, err := h.Revisions(ctx, tip, Filter{Environment: key.Environment, Release: key.Name})
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.To != "" && r.To != other && r.healthy() {
			return &r, nil
		}
	}
	return nil, nil
}

// healthy says whether it was, and was not given up.
func (r *Revision) healthy() bool {
	was := slices.ContainsFunc(r.Events, func(e gitops.Event) bool { return e.Outcome == string(v1alpha1.Healthy) })
	last := r.Outcome()
	return was && last != pinned && last != string(v1alpha1.RolledBack) && last != string(v1alpha1.Failed)
}

// touched are the commits that some releases' outcomes may be noted on: those that changed one of their files.
func (v *view) touched(of map[string]bool) map[gitops.Hash]bool {
	want := map[gitops.Hash]bool{}
	ids := v.ids(of)
	for _, e := range v.entries {
		for _, r := range e.records {
			if ids[r.release] {
				want[e.commit] = true
				break
			}
		}
	}
	return want
}

// place is where in the chain a release changed, and to which version.
type place struct {
	at      int
	version string
}

// places lists them per release, oldest first.
func (v *view) places(of map[string]bool) map[string][]place {
	ids, out := v.ids(of), map[string][]place{}
	for i, e := range v.entries {
		for _, r := range e.records {
			if r.kind == changed && ids[r.release] {
				name := v.names[r.release]
				out[name] = append(out[name], place{i, v.names[r.version]})
			}
		}
	}
	return out
}

// chain tells where each commit is.
func (v *view) chain() map[gitops.Hash]int {
	out := make(map[gitops.Hash]int, len(v.entries))
	for i, e := range v.entries {
		out[e.commit] = i
	}
	return out
}

func (v *view) ids(of map[string]bool) []bool {
	out := make([]bool, len(v.names))
	for i, name := range v.names {
		out[i] = of[name]
	}
	return out
}

// grouped sorts events by release; of nil means all releases.
func grouped(events []gitops.Noted, of map[string]bool) map[string][]gitops.Noted {
	out := map[string][]gitops.Noted{}
	for _, e := range events {
		if of == nil || of[e.Release] {
			out[e.Release] = append(out[e.Release], e)
		}
	}
	return out
}

// sortEvents orders outcomes by time. Times are whole seconds: of one second the revision that was applied later is the
// later one, and then the one that is later in the branch. A note's lines stay in their order.
func sortEvents(events []gitops.Noted, chain map[gitops.Hash]int) {
	applied := func(e gitops.Noted) time.Time {
		if e.Applied.IsZero() {
			return e.At
		}
		return e.Applied
	}
	slices.SortStableFunc(events, func(a, b gitops.Noted) int {
		return cmp.Or(a.At.Compare(b.At), applied(a).Compare(applied(b)), cmp.Compare(chain[a.Commit], chain[b.Commit]))
	})
}

// join attaches a release's events to its changes, by where those are in the chain. An event on a commit that changed
// nothing of it is the change's before; one on a commit outside the chain is nobody's. One of another version, to which
// the release was pinned at that commit, is that of the last change to this version.
func join(events []gitops.Noted, places []place, chain map[gitops.Hash]int) map[int]*Revision {
	out := map[int]*Revision{}
	of := func(commit gitops.Hash, version string) *Revision {
		at, here := chain[commit]
		n, exact := slices.BinarySearchFunc(places, at, func(p place, at int) int { return cmp.Compare(p.at, at) })
		if !exact {
			n--
		}
		if n < 0 || !here {
			return &Revision{} // for nobody
		}
		if version != "" && places[n].version != "" && places[n].version != version {
			for n--; n >= 0 && places[n].version != version; n-- {
			}
			if n < 0 {
				return &Revision{} // the branch never asked for it
			}
		}
		if out[places[n].at] == nil {
			out[places[n].at] = &Revision{}
		}
		return out[places[n].at]
	}
	for _, e := range events {
		r := of(e.Commit, e.Version)
		r.Events = append(r.Events, e.Event)
	}
	for _, p := range periods(events) {
		r := of(p.commit, p.version)
		r.Served = append(r.Served, p)
	}
	return out
}
