package status

import (
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Finding is one thing to know of a release that is not simply healthy.
type Finding struct {
	// What is one word: failed, waiting, held, …
	What string
	// Brief is what is waited for, where no command helps.
	Brief string
	// Text is sentences. What commits and clusters say in them is as they said it: whoever shows it makes it harmless there.
	Text string
	// Do are exact commands to type in a clone of the registry, the likely one first.
	Do []string
	// Rank says how soon a person is needed.
	Rank Rank
}

// Rank orders releases: who needs a person first.
type Rank int

// The ranks, the most urgent first.
const (
	Broken  Rank = iota // nothing of it may serve
	Stopped             // nothing goes on without a person
	Odd                 // a person decided it, or should know
	Passing             // goes on by itself
	Well
)

// situation is what findings go by beside a ModelRelease.
type situation struct {
	now time.Time
	// merge says that the held commit is a merge, proposal which branch here has its revert.
	merge    bool
	proposal string
	// registry is the ModelRegistry that the release belongs to; nil for davit sync.
	registry *v1alpha1.ModelRegistry
	// tip is the full hash of the branch's commit here, "" when there is none.
	tip string
	// behind says that the branch asks for another revision, which nobody has begun.
	behind bool
}

// findings tells all there is to know, what matters most first. A healthy release has none.
func findings(mr *v1alpha1.ModelRelease, s situation) (all []Finding) {
	for _, f := range []func(*v1alpha1.ModelRelease, situation) *Finding{
		refusedFinding, phaseFinding, heldFinding, pinFinding, suspendFinding, rolloutFinding, waveFinding, registryFinding,
		suspendedRegistryFinding, recordedFinding, notifiedFinding, monitoredFinding, driftFinding, promotionFinding,
	} {
		if found := f(mr, s); found != nil {
			all = append(all, *found)
		}
	}
	return all
}

// toDo is how soon a person is needed, and in a word what to do: the command that helps, or what is waited for.
func toDo(mr *v1alpha1.ModelRelease, all []Finding) (urgent Rank, word string) {
	urgent = Well
	first := Finding{Rank: Well}
	for _, f := range all {
		urgent = min(urgent, f.Rank)
		if f.What != "cause" && f.Rank < first.Rank { // what is held says how to go on
			first = f
		}
	}
	const most = 40 // a kubectl command is for the page
	switch {
	case first.Rank == Well:
		return urgent, "-"
	case first.Rank == Passing:
		return urgent, first.Brief
	case len(first.Do) > 0 && len(first.Do[0]) <= most:
		return urgent, first.Do[0]
	}
	return urgent, "davit status " + releaseOf(mr)
}

func driftFinding(mr *v1alpha1.ModelRelease, _ situation) *Finding {
	if len(mr.Status.Drift) == 0 {
		return nil
	}
	return &Finding{What: "drift", Text: sentences(strings.Join(mr.Status.Drift, "; "), "The environment only reports it; a retry puts it back."),
		Do: []string{"davit drift " + releaseOf(mr), "davit retry " + releaseOf(mr)}, Rank: Odd}
}

// promotionFinding tells of the version that davit proposed by a rule.
func promotionFinding(mr *v1alpha1.ModelRelease, _ situation) *Finding {
	p := mr.Status.Promotion
	switch {
	case p == nil:
		return nil
	case p.Declined:
		return &Finding{What: "promotion", Text: sentences(p.Version+" was proposed and a person declined it: "+p.Where, "The next version is proposed again."), Rank: Well}
	}
	f := &Finding{What: "promotion", Brief: p.Version + " proposed", Text: sentences(p.Version + " proposed: " + p.Where), Rank: Passing}
	if p.Waits != "" {
		f.Text = sentences(p.Version+" proposed: "+p.Where, "Its rule merges it when it may; "+p.Waits)
	}
	return f
}
