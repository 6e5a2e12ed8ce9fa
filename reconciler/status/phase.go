package status

import (
	"regexp"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Phase is a release's phase: Progressing, too, while a claim has no outcome.
func Phase(mr *v1alpha1.ModelRelease) v1alpha1.Phase {
	if mr.Pending() && mr.Status.Phase != v1alpha1.Waiting {
		return v1alpha1.Progressing
	}
	return mr.Status.Phase
}

// Stands is the phase in words, after what is more than that: that its pin is refused.
func Stands(mr *v1alpha1.ModelRelease) string {
	text := orDash(string(Phase(mr)))
	if Refused(mr) {
		text = "pin refused, " + text
	}
	return text
}

func phaseFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	st := mr.Status
	now := Phase(mr)
	reason, message := st.Reason, st.Message
	if now != st.Phase { // claimed since: the reason is of what was before
		reason, message = "Applied", ""
	}
	r := remedyFor(now, reason)
	f := &Finding{What: strings.ToLower(string(now)), Brief: reason, Text: sentences(reasoned(reason, message), r.means), Do: s.commands(mr, r.do), Rank: Passing}
	switch {
	case Refused(mr):
		return nil // that is told of already, and why it is held is with what is held
	case now == v1alpha1.Healthy || now == v1alpha1.RolledBack || now == "":
		return nil
	case st.Held != nil && now != v1alpha1.Waiting && reason != "RollbackFailed": // its reason is that of the hold
		f.What, f.Text, f.Rank = "cause", r.means, Stopped
	case reason == "GateClosed" && now == v1alpha1.Waiting:
		f.gate(message)
	case r.person:
		f.Rank = Stopped
	}
	if now == v1alpha1.Failed && (st.Healthy.Commit == "" || reason == "RollbackFailed") {
		f.Rank = Broken
	}
	return f
}

var (
	approveHint = regexp.MustCompile(`davit approve [^ ;]+ --as [^ ;]+`)
	gateOpens   = regexp.MustCompile(`wait until [0-9]`)
)

// gate says what opens a closed gate: time does, or the command that its message names.
func (f *Finding) gate(message string) {
	if gateOpens.MatchString(message) {
		f.Rank = Passing
		return
	}
	f.Rank = Stopped
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
