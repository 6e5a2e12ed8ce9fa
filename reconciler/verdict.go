package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// standing is how a release stands with a commit that changed it.
type standing struct {
	key     registry.Key
	outcome v1alpha1.Outcome // the newest of that commit; empty while there is none
	held    *v1alpha1.HeldRevision
	without ending // how it stands without an outcome
	why     string // it is stopped
}

// ending is how a release may stand with a commit of which there is no outcome.
type ending string

const (
	underWay  ending = ""
	unchanged ending = "unchanged" // the commit gives the objects that it has
	stays     ending = "kept"      // it is held, pinned or suspended, and the commit does not change that
	stopped   ending = "stopped"   // only another commit, or a person, helps
	keptBack  ending = "waits"     // policy keeps it back, and may let it go on
)

const (
	lookAgain = 2 * time.Second  // how often a pending verdict is looked at: not all that ends it makes an outcome
	tellAgain = 10 * time.Second // how often the forge is told of one: GitHub takes 1,000 statuses
)

// judge tells the forge how an environment stands with a commit: its status, and when all that it moved has come to an
// end, a comment on its pull request with the outcome and the next step.
func (r *Reconciler) judge(ctx context.Context, e errand) error {
	environment, commit := e.key.Environment, e.commit
	if r.cfg.Forge == nil || commit.IsZero() {
		return nil
	}
	all := r.standings(r.wanted(environment), environment, commit)
	was, wasPending := r.errands.isPending(e)
	if len(all) == 0 && !wasPending {
		return nil
	}
	status := verdictOf(all)
	if len(all) == 0 && was.quiet {
		status = forge.Status{State: forge.Success, Description: "nothing changed by it"}
	}
	status.Context = "davit/" + environment
	if status.State == forge.Pending {
		again := lookAgain
		if !slices.ContainsFunc(all, func(s standing) bool { return s.outcome.Outcome == "" && s.without == underWay }) {
			again = time.Minute // it may wait for days; whatever ends that is told
		}
		r.errands.add(e, again)
		if time.Since(was.told) < tellAgain || was.text == status.Description && again != lookAgain {
			return nil
		}
	}
	if err := r.cfg.Forge.Status(ctx, commit.String(), status); err != nil {
		return fmt.Errorf("status of %s: %w", commit, err)
	}
	if status.State == forge.Pending {
		r.errands.setPending(e, pending{told: time.Now(), text: status.Description})
		return nil
	}
	r.errands.setPending(e, pending{})
	if quiet(all) {
		return nil
	}
	c, err := r.cfg.Source.Commit(ctx, commit)
	if err != nil {
		return err
	}
	pr, ok, err := r.cfg.Forge.Merged(ctx, commit.String(), c.Subject+"\n\n"+c.Body)
	if err != nil || !ok {
		return err
	}
	return r.cfg.Forge.Comment(ctx, pr.Number, environment, comment(environment, all))
}

// standings lists the releases of an environment that a commit moves or moved, as far as their ModelReleases tell, and
// those that it gave a fault.
func (r *Reconciler) standings(want *desired, environment string, commit gitops.Hash) (out []standing) {
	for _, s := range r.all() {
		if s.key.Environment != environment {
			continue
		}
		at := standing{key: s.key}
		if st := s.shown.Load(); st != nil {
			if i := slices.IndexFunc(st.outcomes, func(o v1alpha1.Outcome) bool { return o.Commit == commit.String() }); i >= 0 {
				at.outcome = st.outcomes[i]
			}
			if st.held != nil && st.held.Commit == commit.String() {
				at.held = st.held
			}
		}
		if at.outcome.Outcome == "" && want.since[s.key] == commit {
			at.without, at.why = r.without(want, s)
			out = append(out, at)
		} else if at.outcome.Outcome != "" {
			out = append(out, at)
		}
	}
	for key, at := range want.broke {
		if faults := want.models.Broken[key]; key.Environment == environment && at == commit && len(faults) > 0 {
			out = append(out, standing{key: key, without: stopped, why: faults[0].String()})
		}
	}
	slices.SortFunc(out, func(a, b standing) int { return byName(a.key, b.key) })
	return out
}

// without is how a release stands with its newest commit while there is no outcome of it.
func (r *Reconciler) without(want *desired, s *state) (ending, string) {
	why, b := s.trouble.Load(), s.back.Load()
	switch {
	case s.at(want.keys[s.key]):
		return unchanged, ""
	case b != nil && b.key == want.keys[s.key]:
		return keptBack, b.why
	case r.asked(s.key) > 0:
		return underWay, ""
	case !s.still.Load() && !want.waves[s.key].open(s.key):
		return underWay, "" // it will be its turn
	case why != "":
		return stopped, why
	case s.still.Load():
		return stays, ""
	}
	return underWay, ""
}

// quiet says that nothing came of a commit for a release.
func (s standing) quiet() bool {
	return s.outcome.Outcome == "" && (s.without == unchanged || s.without == stays)
}

func quiet(all []standing) bool {
	return !slices.ContainsFunc(all, func(s standing) bool { return !s.quiet() })
}

// overtaken has the verdicts looked at that are pending when a newer commit comes: nothing may be left of one. Those
// whose releases were settled without a change are not superseded by that.
func (r *Reconciler) overtaken(before *desired) {
	for _, e := range r.errands.waiting() {
		if want := before.of(e.key.Environment); want != nil {
			all := r.standings(want, e.key.Environment, e.commit)
			if was, still := r.errands.isPending(e); still && len(all) > 0 {
				was.quiet = quiet(all)
				r.errands.setPending(e, was)
			}
		}
		r.errands.add(e, company)
	}
}

// brokenBy says at which commit each release was first seen with its fault.
func brokenBy(next, before *desired) map[registry.Key]gitops.Hash {
	broke := map[registry.Key]gitops.Hash{}
	for key := range next.models.Broken {
		broke[key] = next.snapshot.Hash()
		if before == nil {
			continue
		}
		if at, was := before.broke[key]; was {
			broke[key] = at
		}
	}
	return broke
}

// loggedFaults bounds how many faults of one commit are logged.
const loggedFaults = 20

// faulty has the forge told of the environments in which a commit gave releases a fault, and logs the faults that are new:
// one in what is no release by its name has no other place.
func (r *Reconciler) faulty(next, before *desired) {
	was := map[registry.Fault]bool{}
	if before != nil {
		for _, f := range before.models.Faults {
			was[f] = true
		}
	}
	logged := 0
	for _, f := range next.models.Faults {
		if !was[f] && logged < loggedFaults {
			logged++
			r.cfg.Log.Warn("fault in the registry", "fault", f.String(), "commit", next.snapshot.Hash().String())
		}
	}
	told := map[string]bool{}
	for key, at := range next.broke {
		if at == next.snapshot.Hash() && !told[key.Environment] {
			told[key.Environment] = true
			r.begun(key.Environment, at)
		}
	}
}

func byName(a, b registry.Key) int { return strings.Compare(a.String(), b.String()) }

// verdictOf sums the releases up in a state and a line.
func verdictOf(all []standing) forge.Status {
	count := map[string]int{}
	var fault, waits string
	for _, s := range all {
		what := string(s.outcome.Outcome) + string(s.without)
		if count[what]++; s.without == stopped && fault == "" {
			fault = s.why
		}
		if s.without == keptBack && waits == "" {
			waits = s.why
		}
	}
	some := func(phases ...v1alpha1.Phase) bool {
		return slices.ContainsFunc(phases, func(p v1alpha1.Phase) bool { return count[string(p)] > 0 })
	}
	state := forge.Success
	switch {
	case len(all) == 0:
		return forge.Status{State: forge.Errored, Description: "superseded by a newer commit before anything of it was applied"}
	case some(v1alpha1.Failed, v1alpha1.RolledBack, v1alpha1.Pinned, v1alpha1.Phase(stopped)):
		state = forge.Failure
	case some(v1alpha1.Phase(underWay), v1alpha1.Phase(keptBack)):
		state = forge.Pending
	case some(v1alpha1.Superseded):
		state = forge.Errored
	}
	if len(all) == 1 {
		return forge.Status{State: state, Description: line(sentence(all[0]))}
	}
	var parts []string
	for _, p := range [][2]string{
		{string(v1alpha1.Failed), "failed"}, {string(stopped), "stopped"}, {string(v1alpha1.RolledBack), "rolled back"},
		{string(v1alpha1.Pinned), "turned away from"}, {string(v1alpha1.Superseded), "superseded"}, {string(v1alpha1.Healthy), "healthy"},
		{string(unchanged), "unchanged"}, {string(stays), "kept"}, {string(underWay), "under way"},
		{string(keptBack), "waiting"},
	} {
		if n := count[p[0]]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p[1]))
		}
	}
	text := strings.Join(parts, ", ")
	if why := cmp.Or(fault, waits); why != "" {
		text += ": " + why
	}
	return forge.Status{State: state, Description: line(text)}
}

// line is a text on one line.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

// sentence is what came of one release.
func sentence(s standing) string {
	o := s.outcome
	switch o.Outcome {
	case "":
		switch s.without {
		case unchanged:
			return s.key.Name + " is unchanged by it"
		case stays:
			return s.key.Name + " is kept as it is: held, pinned or suspended"
		case stopped:
			return s.key.Name + " is stopped: " + s.why
		case keptBack:
			return s.key.Name + " waits: " + s.why
		}
		return s.key.Name + " is under way"
	case v1alpha1.Healthy:
		if o.From != "" && o.From != o.Version {
			return fmt.Sprintf("%s is healthy at %s (from %s)", s.key.Name, o.Version, o.From)
		}
		return fmt.Sprintf("%s is healthy at %s", s.key.Name, o.Version)
	case v1alpha1.RolledBack:
		return fmt.Sprintf("%s %s failed (%s) and was rolled back to %s", s.key.Name, o.Version, o.Reason, o.Serves.Version)
	case v1alpha1.Pinned:
		return fmt.Sprintf("%s turned %s away from %s to %s", o.By, s.key.Name, o.Version, o.Serves.Version)
	case v1alpha1.Superseded:
		return fmt.Sprintf("%s %s was superseded before it settled", s.key.Name, o.Version)
	}
	return fmt.Sprintf("%s %s failed (%s)", s.key.Name, o.Version, o.Reason)
}
