package fleet

import (
	"context"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TimelineQuery selects commits. The zero TimelineQuery selects all.
type TimelineQuery struct {
	// Environment, Release and Model are names; a release's may be environment/release.
	Environment, Release, Model string
	// Author is a part of the name or address of whoever wrote or merged a commit.
	Author string
	// Outcome is one of a Facet's of [Timeline.Outcomes].
	Outcome string
	// Since and Until bound when a commit came to the branch, both inclusive; zero means no bound.
	Since, Until time.Time
	// Commit is the one that is told in full, by its hash or seven digits of it.
	Commit string
	// From is how many commits are left out at the beginning, Limit how many are told; DefaultCommits when zero.
	From, Limit int
}

// DefaultCommits is how many commits a timeline has unless it is asked for more; MostLines is the most.
const DefaultCommits = 50

// Timeline is the first-parent commits of the branch, newest first, with what came of them.
type Timeline struct {
	Registry string `json:"registry"`
	Tip      *Tip   `json:"tip,omitempty"`
	// Since and Until are what the strip spans.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Strip has a mark for each stretch in which there were commits, Troubles the times in which releases had failed.
	Strip    []Mark    `json:"strip"`
	Troubles []Trouble `json:"troubles"`
	// Commit is the one that was asked for.
	Commit  *Commit  `json:"commit,omitempty"`
	Commits []Commit `json:"commits"`
	// Outcomes counts, among what the rest of the query selects, the commits that a release has an outcome by.
	Outcomes     []Facet  `json:"outcomes"`
	Environments []string `json:"allEnvironments"`
	Authors      []string `json:"authors"`
	// All is how many commits there are, Found how many the query selects.
	All   int `json:"all"`
	Found int `json:"found"`
	From  int `json:"from"`
	// Cut says that a shallow clone ends at the oldest commit.
	Cut bool `json:"cut,omitempty"`
}

// Commit is one commit, and what it did.
type Commit struct {
	Commit   string    `json:"commit"`
	Revision string    `json:"revision"`
	URL      string    `json:"url,omitempty"` // on the forge, where it is known
	When     time.Time `json:"when"`
	Author   string    `json:"author"`
	// Merger is who put it onto the branch, where that is somebody else; none did where a rule merged it.
	Merger string `json:"merger,omitempty"`
	ByRule bool   `json:"byRule,omitempty"`
	// PromotedFrom is the environment or training whose version it promotes, as it says.
	PromotedFrom string `json:"promotedFrom,omitempty"`
	// PullRequest is a URL, or #12 or group/project!12, as the commit says; PullRequestURL is where it is, if that is on the
	// registry's forge.
	PullRequest    string `json:"pullRequest,omitempty"`
	PullRequestURL string `json:"pullRequestURL,omitempty"`
	Subject        string `json:"subject"`
	Links          []Link `json:"links,omitempty"` // those of Subject
	// State sums its outcomes up, by the one that needs a person most.
	State State `json:"state"`
	// What is what it changed beside releases, Shared whether that may be about any release.
	What   []Deed `json:"what"`
	Shared bool   `json:"shared,omitempty"`
	// MoreWhat is how many more there are.
	MoreWhat int `json:"moreWhat,omitempty"`
	// Releases are those that it changed, the ones that need a person first, and MoreReleases how many more there are.
	Releases     []Effect `json:"releases"`
	MoreReleases int      `json:"moreReleases,omitempty"`
	// Outcomes counts those of all of them.
	Outcomes []Facet `json:"outcomes"`
}

// Deed is something other than a release that a commit changed.
type Deed struct {
	// Kind and Name are as registry.Touch has them.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// How is added, changed or removed, or, of a version, marked bad.
	How string `json:"how"`
}

// Effect is what a commit did to one release, and what came of it.
type Effect struct {
	Environment string `json:"environment"`
	Release     string `json:"release"`
	Model       string `json:"model,omitempty"`
	// From and To are versions: From is empty when the release is new, To when it was removed.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Edits are what else of it is another now, Metrics those of the two versions that differ.
	Edits   []Edit   `json:"edits,omitempty"`
	Metrics []Metric `json:"metrics,omitempty"`
	// Outcome is the last that was noted, or the phase of one that has none yet; "" when nothing is known.
	Outcome string `json:"outcome,omitempty"`
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// At is when the outcome was.
	At time.Time `json:"at,omitzero"`
	// Events are all outcomes, oldest first, of a commit that is told in full.
	Events []Event `json:"events,omitempty"`
	// Since is from when on it serves; zero when it does not.
	Since time.Time `json:"since,omitzero"`
}

// Event is one outcome.
type Event struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
	State   State     `json:"state"`
	Version string    `json:"version,omitempty"`
	// Serves is the version that serves after it, where that is another.
	Serves  string `json:"serves,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	By      string `json:"by,omitempty"`
}

// Edit is a value before and after; "" for none. Values that may be secret are not told.
type Edit struct {
	What string `json:"what"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Metric is what a version says of itself, and what the one before said; nil where it says nothing.
type Metric struct {
	Name string   `json:"name"`
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
}

// Past is the state of what is over, or of which nothing is known.
const Past State = "past"

// failedOrBack is an outcome of queries alone: Failed or RolledBack.
const failedOrBack = "trouble"

// Timeline lists what a query selects. It is nil when the registry is not followed.
func (f *Fleet) Timeline(ctx context.Context, v Viewer, name string, q TimelineQuery) (*Timeline, error) {
	r := f.of(name)
	if r == nil {
		return nil, nil
	}
	l := r.look()
	out := &Timeline{
		Registry: name, Tip: l.tip(), From: max(q.From, 0), Strip: []Mark{}, Troubles: []Trouble{}, Commits: []Commit{}, Outcomes: []Facet{},
		Environments: []string{}, Authors: []string{}, Since: q.Since, Until: q.Until,
	}
	c, err := l.chronicle(ctx)
	if err != nil || c == nil {
		return out, err
	}
	s := &selection{look: l, chronicle: c, query: q, seen: v.in(name), now: f.cfg.Now()}
	s.tell(out)
	t := &teller{selection: s, until: time.Now().Add(readFor)}
	for _, h := range s.page() {
		out.Commits = append(out.Commits, t.commit(ctx, h, fewReleases))
	}
	if h := s.one(); h != nil {
		full := t.commit(ctx, h, manyReleases)
		out.Commit = &full
	}
	return out, ctx.Err()
}

// How many releases of a commit are told in a list, and of one that is told in full; for how long their files are read for
// what else changed. What is read is kept, so that the next look tells more.
const (
	fewReleases  = 4
	manyReleases = 200
	readFor      = 60 * time.Millisecond
)

// StateOf is how a release stands by an outcome; by one of queries alone it is Attention.
func StateOf(outcome string) State {
	switch v1alpha1.Phase(outcome) {
	case failedOrBack:
		return Attention
	case v1alpha1.Failed:
		return Broken
	case v1alpha1.RolledBack, v1alpha1.Held:
		return Stopped
	case v1alpha1.Pinned:
		return Manual
	case v1alpha1.Progressing, v1alpha1.Waiting:
		return Moving
	case v1alpha1.Healthy:
		return Well
	}
	return Past
}

// worse orders states, those that need a person first.
func (s State) worse(than State) bool {
	rank := func(s State) int {
		if s == Past {
			return len(states)
		}
		return s.rank()
	}
	return rank(s) < rank(than)
}
