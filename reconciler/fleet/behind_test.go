package fleet_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestBehind: a branch that was rewritten is not followed, and the fleet says so; to those who may not see all, without the reason.
func TestBehind(t *testing.T) {
	w := newWorld(t, nil)
	w.until("the first commit is followed", func() bool {
		r := w.Releases(fleet.Viewer{}, name, fleet.Query{})
		return r != nil && r.Tip != nil && r.Behind == "" && len(r.Lines) == 1
	})
	w.git("commit", "-q", "--amend", "-m", "another first commit")
	w.until("the other one is not", func() bool { return w.Releases(fleet.Viewer{}, name, fleet.Query{}).Behind != "" })
	if why := w.Releases(fleet.Viewer{}, name, fleet.Query{}).Behind; !strings.Contains(why, "the branch was rewritten") {
		t.Errorf("it is told as %q", why)
	}
	some := fleet.Viewer{May: func(_, environment string) bool { return environment == "staging" }}
	if why := w.Releases(some, name, fleet.Query{}).Behind; why != "davit's log has the reason" {
		t.Errorf("who may see staging alone is told %q", why)
	}
}
