package main

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// situation is what advice goes by beside a ModelRelease.
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

// finding is one thing to know of a release that is not simply healthy.
type finding struct {
	// What is one word: failed, waiting, held, …
	What string
	// Brief is what is waited for, where no command helps.
	Brief string
	// Text is sentences.
	Text string
	// Do are exact commands, the likely one first.
	Do []string
	// Rank says how soon a person is needed.
	Rank rank
}

// rank orders releases: who needs a person first.
type rank int

const (
	broken  rank = iota // nothing of it may serve
	stopped             // nothing goes on without a person
	odd                 // a person decided it, or should know
	passing             // goes on by itself
	well
)

// findings tells all there is to know, what matters most first. A healthy release has none.
func findings(mr *v1alpha1.ModelRelease, s situation) (all []finding) {
	for _, f := range []func(*v1alpha1.ModelRelease, situation) *finding{refusedFinding, phaseFinding, heldFinding, pinFinding, suspendFinding, rolloutFinding, waveFinding, registryFinding, suspendedRegistryFinding, recordedFinding, notifiedFinding, monitoredFinding, driftFinding, promotionFinding} {
		if found := f(mr, s); found != nil {
			all = append(all, *found)
		}
	}
	return all
}

func phaseFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	st := mr.Status
	now := phase(mr)
	reason, message := st.Reason, st.Message
	if now != st.Phase { // claimed since: the reason is of what was before
		reason, message = "Applied", ""
	}
	r := remedyFor(now, reason)
	f := &finding{What: strings.ToLower(string(now)), Brief: reason, Text: sentences(reasoned(reason, message), r.means), Do: s.commands(mr, r.do), Rank: passing}
	switch {
	case refused(mr):
		return nil // that is told of already, and why it is held is with what is held
	case now == v1alpha1.Healthy || now == v1alpha1.RolledBack || now == "":
		return nil
	case st.Held != nil && now != v1alpha1.Waiting && reason != "RollbackFailed": // its reason is that of the hold
		f.What, f.Text, f.Rank = "cause", r.means, stopped
	case reason == reconciler.ReasonGateClosed && now == v1alpha1.Waiting:
		f.gate(message)
	case r.person:
		f.Rank = stopped
	}
	if now == v1alpha1.Failed && (st.Healthy.Commit == "" || reason == "RollbackFailed") {
		f.Rank = broken
	}
	return f
}

var (
	approveHint = regexp.MustCompile(`davit approve [^ ;]+ --as [^ ;]+`)
	gateOpens   = regexp.MustCompile(`wait until [0-9]`)
)

// gate says what opens a closed gate: time does, or the command that its message names.
func (f *finding) gate(message string) {
	if gateOpens.MatchString(message) {
		f.Rank = passing
		return
	}
	f.Rank = stopped
	if command := approveHint.FindString(message); command != "" {
		f.Do = append([]string{command}, f.Do...)
	}
}

// reasoned is the message after its reason, unless it says that itself.
func reasoned(reason, message string) string {
	switch {
	case message == "":
		return reason
	case reason == "" || strings.HasPrefix(message, reason):
		return message
	}
	return reason + ": " + message
}

func heldFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	held := mr.Status.Held
	if held == nil {
		return nil
	}
	text := fmt.Sprintf("%s at %s", orDash(held.Version), short(held.Commit))
	if !strings.Contains(held.Reason, "\n") {
		text += ": " + held.Reason
	}
	back := "Nothing was healthy before it, so there is nothing to go back to."
	if v := mr.Status.Healthy.Version; v != "" {
		back = v + " goes on."
		if mr.Status.Phase == v1alpha1.Failed {
			back = v + " was healthy before."
		}
	}
	f := &finding{What: "held", Rank: stopped}
	f.Text = sentences(text, back, "It ends with the next commit that changes the release's own files; resume tries the same again.")
	revert := "git revert "
	if s.merge {
		revert += "-m 1 "
	}
	f.Do = append(f.Do, revert+short(held.Commit))
	switch {
	case strings.Contains(held.Proposal, "://"): // a person's, who knows how to merge it there
		f.Text = sentences(f.Text, "Its revert is proposed: "+held.Proposal)
		f.Do = nil
	case s.proposal != "":
		f.Do[0] = "git merge " + s.proposal
	}
	f.Do = append(f.Do, "davit resume "+releaseOf(mr))
	return f
}

// refused says that a pin can't be had, and that the release stays as it is until a person chooses something else.
func refused(mr *v1alpha1.ModelRelease) bool {
	return mr.Spec.Pin != nil && mr.Status.Reason == "PinRefused" && !mr.Pending()
}

func refusedFinding(mr *v1alpha1.ModelRelease, _ situation) *finding {
	if !refused(mr) {
		return nil
	}
	return &finding{What: "refused", Text: sentences("It " + mr.Status.Message), Do: []string{"davit resume " + releaseOf(mr)}, Rank: stopped}
}

// pinTaken says whether somebody followed a pin: the status names what it is pinned to, and answers the generation.
func pinTaken(mr *v1alpha1.ModelRelease) bool {
	return strings.HasSuffix(mr.Status.Pinned, short(mr.Spec.Pin.Commit)) && (mr.Pending() || mr.Status.ObservedGeneration >= mr.Generation)
}

func pinFinding(mr *v1alpha1.ModelRelease, _ situation) *finding {
	pin := mr.Spec.Pin
	if pin == nil {
		return nil
	}
	taken, text := "", "by "+orDash(pin.By)+" at "+short(pin.Commit)
	if pin.Version != "" {
		text = fmt.Sprintf("to %s by %s, otherwise as at %s", pin.Version, orDash(pin.By), short(pin.Commit))
	}
	switch {
	case !pinTaken(mr):
		taken = "It is not taken up yet: that does the controller, or davit sync."
	case pin.Version == "":
		text = "to " + mr.Status.Pinned + " by " + orDash(pin.By)
	}
	text += ", since " + pin.At.Local().Format(time.DateTime)
	ends := "It ends with the next commit that changes the release's own files"
	if pin.Tip != "" {
		ends += " after " + short(pin.Tip)
	}
	return &finding{What: "pinned", Text: sentences(text, pin.Reason, taken, ends+", or by hand."), Do: []string{"davit resume " + releaseOf(mr)}, Rank: odd}
}

func suspendFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	stop := mr.Spec.Suspend
	if stop == nil || stop.Until != nil && !stop.Until.After(s.now) {
		return nil
	}
	text := "by " + orDash(stop.By)
	if stop.Until != nil {
		text += " until " + stop.Until.Local().Format(time.DateTime)
	}
	return &finding{
		What: "suspended", Text: sentences(text, stop.Reason, "Nothing is applied, corrected, rolled back or deleted meanwhile."),
		Do: []string{"davit resume " + releaseOf(mr)}, Rank: odd,
	}
}

// rolloutFinding tells of traffic that goes over from one revision's workload to another's.
func rolloutFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	t := mr.Status.Traffic
	if t == nil {
		return nil
	}
	switch {
	case t.Next != "" && t.Weight > 0:
		text := fmt.Sprintf("%s (%s) has %d%% of the traffic", mr.Status.Applied.Version, t.Next, t.Weight)
		if t.Step > 0 {
			text += fmt.Sprintf(", step %d since %s", t.Step, t.Since.Local().Format(time.DateTime))
		}
		if t.Serving != "" {
			text += fmt.Sprintf("; %s (%s) has the rest", orDash(mr.Status.Healthy.Version), t.Serving)
		}
		return &finding{What: "traffic", Brief: "traffic", Text: sentences(text), Rank: passing}
	case t.Next != "":
		text := fmt.Sprintf("%s (%s) has none yet", mr.Status.Applied.Version, t.Next)
		if t.Serving != "" {
			text += fmt.Sprintf("; %s (%s) has it all", orDash(mr.Status.Healthy.Version), t.Serving)
		}
		return &finding{What: "traffic", Brief: "traffic", Text: sentences(text), Rank: passing}
	case t.Kept != "" && t.KeptUntil.After(s.now):
		return &finding{What: "kept", Text: sentences(fmt.Sprintf("the workload before, %s, runs on until %s: going back takes seconds", t.Kept, t.KeptUntil.Local().Format(time.DateTime))), Rank: well}
	}
	return nil
}

// waveFinding tells a release that its wave has not come, or that the shared change is stopped.
func waveFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil || !s.behind {
		return nil
	}
	for _, r := range s.registry.Status.Rollouts {
		if r.Environment != mr.Spec.Environment {
			continue
		}
		f := &finding{What: "its turn", Brief: "its wave", Rank: passing, Text: sentences(strings.TrimPrefix(rollout(r), r.Environment+": "))}
		if r.Stopped {
			f.Rank, f.Do = stopped, []string{"git revert " + short(r.Commit)}
		}
		return f
	}
	return nil
}

// registryFinding tells of a ModelRegistry that is not followed as it should be.
func registryFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil {
		return nil
	}
	for _, c := range s.registry.Status.Conditions {
		if c.Type != v1alpha1.ConditionReady || c.Status != metav1.ConditionFalse {
			continue
		}
		if c.Reason == "NotSigned" && !strings.Contains(c.Message, "environment "+mr.Spec.Environment+" ") {
			return nil // other environments are behind
		}
		r, ok := waiting[c.Reason]
		if !ok {
			r = remedy{means: "The registry is not followed, so no new commit arrives. It is tried again.", do: []string{"kubectl -n {registry} describe modelregistry {registryName}"}}
		}
		return &finding{What: "registry", Text: sentences(reasoned(c.Reason, c.Message), r.means), Do: s.commands(mr, r.do), Rank: stopped}
	}
	return nil
}

// recordedFinding tells that outcomes do not reach Git.
func recordedFinding(_ *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionRecorded)
	if c == nil || c.Status != metav1.ConditionFalse {
		return nil
	}
	return &finding{What: "outcomes", Rank: odd, Text: sentences("Outcomes do not reach Git: "+c.Message,
		"Each release keeps its last five until they do. Give davit's credentials the right to push refs/notes/davit and davit/*, or say outcomes: Cluster in the ModelRegistry.")}
}

func driftFinding(mr *v1alpha1.ModelRelease, _ situation) *finding {
	if len(mr.Status.Drift) == 0 {
		return nil
	}
	return &finding{What: "drift", Text: sentences(strings.Join(mr.Status.Drift, "; "), "The environment only reports it; a retry puts it back."),
		Do: []string{"davit drift " + releaseOf(mr), "davit retry " + releaseOf(mr)}, Rank: odd}
}

// promotionFinding tells of the version that davit proposed by a rule.
func promotionFinding(mr *v1alpha1.ModelRelease, _ situation) *finding {
	p := mr.Status.Promotion
	switch {
	case p == nil:
		return nil
	case p.Declined:
		return &finding{What: "promotion", Text: sentences(p.Version+" was proposed and a person declined it: "+p.Where, "The next version is proposed again."), Rank: well}
	}
	f := &finding{What: "promotion", Brief: p.Version + " proposed", Text: sentences(p.Version + " proposed: " + p.Where), Rank: passing}
	if p.Waits != "" {
		f.Text = sentences(p.Version+" proposed: "+p.Where, "Its rule merges it when it may; "+p.Waits)
	}
	return f
}

var otherRelease = regexp.MustCompile(`depends on ([^ ,]+),`)

// commands fills in what a remedy's commands leave open. What davit sync does by a flag a ModelRegistry has in its spec.
func (s situation) commands(mr *v1alpha1.ModelRelease, templates []string) (out []string) {
	accept, grant := "davit sync --accept-rewrite", "davit sync"
	namespace, name := "", ""
	if s.registry != nil {
		namespace, name = s.registry.Namespace, s.registry.Name
		accept = fmt.Sprintf(`kubectl -n %s patch modelregistry %s --type merge -p '{"spec":{"acceptRewrite":"%s"}}'`, namespace, name, cmp.Or(s.tip, "COMMIT"))
		grant = fmt.Sprintf("kubectl -n %s edit modelregistry %s", namespace, name)
	}
	other := mr.Spec.Environment
	if m := otherRelease.FindStringSubmatch(mr.Status.Message); m != nil {
		other = m[1]
	}
	version := mr.Status.Applied.Version
	if mr.Pending() && mr.Spec.Claim.Version != "" {
		version = mr.Spec.Claim.Version
	}
	if held := mr.Status.Held; held != nil {
		version = held.Version
	}
	model := ""
	if repository, _, ok := strings.Cut(mr.Status.Applied.Image, "@"); ok {
		model = path.Base(repository) + "@" + version
	}
	fill := strings.NewReplacer("{accept}", accept, "{grant}", grant, "{release}", releaseOf(mr), "{name}", mr.Spec.Release,
		"{environment}", mr.Spec.Environment, "{namespace}", mr.Namespace, "{other}", other, "{model}", model, "{registry}", namespace, "{registryName}", name)
	for _, t := range templates {
		if s.registry != nil && strings.HasPrefix(t, "davit sync --adopt") {
			continue // nothing that a ModelRegistry can say
		}
		out = append(out, strings.Join(strings.Fields(fill.Replace(t)), " "))
	}
	return out
}

func releaseOf(mr *v1alpha1.ModelRelease) string { return mr.Spec.Environment + "/" + mr.Spec.Release }

// sentences joins what is not empty; each begins large and ends with a full stop.
func sentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.Join(strings.Fields(p), " "); p == "" {
			continue
		}
		if !strings.ContainsAny(p[len(p)-1:], ".!?:;") {
			p += "."
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}
