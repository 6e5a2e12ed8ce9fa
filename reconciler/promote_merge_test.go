package reconciler_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestPromotionIsNoOther: what is on a promotion's branch is told by its files, whatever its commits say they are; and it is
// merged by the rule only as long as the rule is about it.
func TestPromotionIsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("models/iris/evidence/v1/card.md", "It was looked at.")
	w.merging("  gates: {evidence: [card]}\n")
	w.follow(proposing)
	w.bothHealthy()
	w.serve("staging", "v2")
	w.offers("v2")
	w.git("checkout", "-q", promotionBranch)
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 9")
	w.commit("nothing to see")
	w.write("models/iris/evidence/v2/card.md", "It was looked at.")
	w.commit("the model card of v2\n\nDavit-Promotes: iris@v2")
	w.git("checkout", "-q", "--detach", "main")
	push := func(change ...string) { // to main, which nobody has checked out
		w.write("note", strings.Join(change, " "))
		if len(change) == 3 {
			w.edit(change[0], change[1], change[2])
		}
		w.commit("a push")
		w.git("update-ref", "refs/heads/main", "HEAD")
	}
	push("one")
	w.eventually("its branch has something else", func() bool {
		return strings.Contains(w.promotion().Waits, "its branch changes releases/iris/serving.yaml, too")
	})

	// With main merged into it and nothing else it is as good as before; but the rule wants more by now.
	push("releases/iris/production.yaml", "merge: auto", "healthyFor: 24h, merge: auto")
	w.git("checkout", "-q", promotionBranch)
	w.git("reset", "-q", "--hard", "HEAD~2")
	w.git("merge", "-q", "-m", "take main", "main")
	w.write("models/iris/evidence/v2/card.md", "It was looked at.")
	w.commit("the model card of v2")
	w.git("checkout", "-q", "--detach", "main")
	push("two")
	w.eventually("it is not for long enough in staging", func() bool {
		return strings.Contains(w.promotion().Waits, "staging/iris has not been healthy with v2 for 24h0m0s")
	})
	push("releases/iris/production.yaml", "healthyFor: 24h, ", "")
	w.git("checkout", "-q", promotionBranch)
	w.git("merge", "-q", "-m", "take main", "main")
	w.git("checkout", "-q", "--detach", "main")
	push("three")
	w.until(production, "v2", v1alpha1.Healthy)
	if got := w.git("show", "main:releases/iris/serving.yaml"); !strings.Contains(got, "replicas: 1") {
		t.Error(got)
	}
}
