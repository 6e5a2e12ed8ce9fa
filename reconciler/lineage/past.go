package lineage

import (
	"path"
	"slices"
	"time"

	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
)

// Period is a time in which a release had a version.
type Period struct {
	Release registry.Key
	// From and Until bound it: by outcomes where they are known, else, of an intent, by when the branch asked for it. A zero
	// Until is still so.
	From, Until time.Time
	Intent      bool
	// Outcome is the last of the revision's outcomes, "" when none is known; Commit is the revision's.
	Outcome, Commit string
}

func (p Period) facts() []Fact {
	out := facts(nil, "from", moment(p.From), "until", moment(p.Until), "outcome", p.Outcome, "commit", p.Commit)
	if p.Intent {
		out = append(out, Fact{"known by", "the branch alone"})
	}
	return out
}

// PastOf is from when to when releases had a version, oldest first, by revisions as history.Revisions gives them, newest
// first, of the version's model.
func PastOf(revisions []history.Revision, v *registry.ModelVersion) (out []Period) {
	next := map[registry.Key]time.Time{} // when the release changed after the revision
	for _, r := range revisions {
		if r.To == v.Name && path.Base(r.ToModel) == v.Model {
			p := Period{Release: r.Release, Outcome: r.Outcome(), Commit: r.Commit}
			for _, s := range r.Served {
				p.From, p.Until = s.From, s.Until
				out = append(out, p)
			}
			if len(r.Events) == 0 {
				p.From, p.Until, p.Intent = r.When, next[r.Release], true
				out = append(out, p)
			}
		}
		next[r.Release] = r.When
	}
	slices.SortStableFunc(out, func(a, b Period) int { return a.From.Compare(b.From) })
	return out
}
