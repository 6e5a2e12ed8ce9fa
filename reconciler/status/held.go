package status

import (
	"fmt"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func heldFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
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
	f := &Finding{What: "held", Rank: Stopped}
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
