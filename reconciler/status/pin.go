package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Refused says that a pin can't be had, and that the release stays as it is until a person chooses something else.
func Refused(mr *v1alpha1.ModelRelease) bool {
	return mr.Spec.Pin != nil && mr.Status.Reason == "PinRefused" && !mr.Pending()
}

func refusedFinding(mr *v1alpha1.ModelRelease, _ situation) *Finding {
	if !Refused(mr) {
		return nil
	}
	return &Finding{What: "refused", Text: sentences("It " + mr.Status.Message), Do: []string{"davit resume " + releaseOf(mr)}, Rank: Stopped}
}

// pinTaken says whether somebody followed a pin: the status names what it is pinned to, and answers the generation.
func pinTaken(mr *v1alpha1.ModelRelease) bool {
	return strings.HasSuffix(mr.Status.Pinned, short(mr.Spec.Pin.Commit)) && (mr.Pending() || mr.Status.ObservedGeneration >= mr.Generation)
}

func pinFinding(mr *v1alpha1.ModelRelease, _ situation) *Finding {
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
	return &Finding{What: "pinned", Text: sentences(text, pin.Reason, taken, ends+", or by hand."), Do: []string{"davit resume " + releaseOf(mr)}, Rank: Odd}
}

func suspendFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	stop := mr.Spec.Suspend
	if stop == nil || stop.Until != nil && !stop.Until.After(s.now) {
		return nil
	}
	text := "by " + orDash(stop.By)
	if stop.Until != nil {
		text += " until " + stop.Until.Local().Format(time.DateTime)
	}
	return &Finding{
		What: "suspended", Text: sentences(text, stop.Reason, "Nothing is applied, corrected, rolled back or deleted meanwhile."),
		Do: []string{"davit resume " + releaseOf(mr)}, Rank: Odd,
	}
}
