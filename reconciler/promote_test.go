package reconciler_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

const promotionBranch = "davit/promote/production/iris"

// promoted gives production a rule.
func (w *world) rule(rule string) {
	w.t.Helper()
	w.edit("releases/iris/production.yaml", "  version: v1\n", "  version: v1\n\n  promote: "+rule+"\n")
	w.commit("production follows by a rule")
}

// newVersion adds a version of iris that nobody serves yet.
func (w *world) newVersion(name, trainedBy string) {
	w.t.Helper()
	weights := w.text("models/iris/files/v2/model.safetensors") + name
	w.write("models/iris/files/"+name+"/model.safetensors", weights)
	w.write("models/iris/versions/"+name+".yaml", fmt.Sprintf(`apiVersion: davit.dev/v1alpha1
kind: ModelVersion
spec:
  format: safetensors
  files:
    - {path: model.safetensors, source: models/iris/files/%s/model.safetensors, sha256: %x, size: %d}
  metrics: {accuracy: 0.97}
  lineage: {trainedBy: %q}
`, name, sha256.Sum256([]byte(weights)), len(weights), trainedBy))
}

// serve has an environment serve a version.
func (w *world) serve(env, version string) {
	w.t.Helper()
	file := "releases/iris/" + env + ".yaml"
	_, rest, _ := strings.Cut(w.text(file), "  version: ")
	old, _, _ := strings.Cut(rest, "\n")
	w.edit(file, "  version: "+old, "  version: "+version)
	w.commit(env + " at " + version)
}

// offers waits until production's branch has a version, and its status says so.
func (w *world) offers(version string) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%+v", w.of("iris"))
		}
	}()
	w.eventually(version+" is proposed", func() bool {
		return w.has(promotionBranch) && w.git("show", promotionBranch+":releases/iris/production.yaml") != "" &&
			strings.Contains(w.git("show", promotionBranch+":releases/iris/production.yaml"), "version: "+version+"\n") && w.promotion().Version == version
	})
}

// promotion is what production's status says of it.
func (w *world) promotion() (p v1alpha1.Promotion) {
	if has := w.of("iris").Promotion; has != nil {
		p = *has
	}
	return p
}

// bothHealthy waits until staging and production are healthy at v1.
func (w *world) bothHealthy() {
	w.t.Helper()
	for _, env := range []string{"staging", "production"} {
		w.eventually(env+" is healthy", func() bool {
			mr, err := w.cluster.Release(w.t.Context(), w.namespace(env), env, "iris")
			return err == nil && mr != nil && mr.Status.Phase == v1alpha1.Healthy
		})
	}
}

// withdrawn waits until there is no proposal.
func (w *world) withdrawn() {
	w.t.Helper()
	w.eventually("the proposal is gone", func() bool { return !w.has(promotionBranch) && w.promotion().Where == "" })
}

// TestPromotionIsProposed: a version that is healthy in staging is proposed for production on one branch, which follows
// the newest one and goes when it is merged; what production had before, or what is bad, is not proposed.
func TestPromotionIsProposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newVersion("v4", "")
	w.newVersion("v5", "")
	w.rule("{from: staging}")
	stop := w.follow(proposing)
	w.bothHealthy()
	w.serve("staging", "v2")
	w.offers("v2")
	if got := w.git("diff", "main", promotionBranch); strings.Count(got, "\n+") != 2 || !strings.Contains(got, "+  version: v2\n") {
		t.Errorf("the proposal is\n%s", got)
	}
	message := w.git("log", "-1", "--format=%B", promotionBranch)
	for _, part := range []string{"Promote production/iris to v2\n", "healthy in staging since ", "Davit-Release: production/iris\nDavit-Promotes: iris@v2\nDavit-From: staging"} {
		if !strings.Contains(message, part) {
			t.Errorf("the message does not say %q:\n%s", part, message)
		}
	}
	first := w.git("rev-parse", promotionBranch)
	w.write("README.md", "nothing of it")
	w.commit("other work")
	w.serve("staging", "v4")
	w.offers("v4")
	if got := w.git("rev-list", "--count", "main.."+promotionBranch); got != "1" || w.git("rev-parse", promotionBranch) == first {
		t.Errorf("the branch has %s commits", got)
	}

	// Its file changes on the branch: it is made anew, and not before.
	at := w.git("rev-parse", promotionBranch)
	w.edit("releases/iris/production.yaml", "spec:\n", "spec:\n  replicas: 2\n")
	w.commit("production has two")
	w.eventually("it stands on the new file", func() bool { return w.git("rev-parse", promotionBranch) != at })
	w.git("merge", "-q", "-m", "take v4", promotionBranch)
	w.until(production, "v4", v1alpha1.Healthy)
	w.withdrawn()

	// Rolled back by a revert, v4 does not come back; neither does v1. v3 fails in staging. v5 is new.
	w.git("revert", "-m", "1", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	w.serve("staging", "v3")
	w.until(staging, "v4", v1alpha1.RolledBack)
	if w.has(promotionBranch) {
		t.Error("what failed in staging was proposed, or what production had before")
	}
	w.serve("staging", "v5")
	w.offers("v5")
	stop()
	w.write("models/iris/bad/v5.yaml", "apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: calls roses tulips}\n")
	w.commit("v5 is bad")
	w.follow(proposing)
	w.withdrawn()
}

// TestPromotionDeclined: a version whose branch a person deleted is not proposed again, by the next process either; the next
// version is.
func TestPromotionDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newVersion("v4", "")
	w.newVersion("v5", "")
	w.rule("{from: staging}")
	stop := w.follow(proposing)
	w.bothHealthy()
	w.serve("staging", "v2")
	w.offers("v2")
	stop()
	w.git("branch", "-q", "-D", promotionBranch)
	for range 2 {
		if err := w.reconciler(proposing).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.promotion(); w.has(promotionBranch) || !got.Declined || got.Version != "v2" {
			t.Fatalf("%+v", got)
		}
	}
	w.follow(proposing)
	w.serve("staging", "v4")
	w.offers("v4")
	if w.promotion().Declined {
		t.Error("v4 is declined")
	}

	// Back at v2, staging asks for nothing again.
	w.serve("staging", "v2")
	w.eventually("v4 is not wanted any more", func() bool { return !w.has(promotionBranch) && w.promotion().Declined })
	w.eventually("v2 is healthy in staging", func() bool { s := w.status("staging"); return s.Phase == v1alpha1.Healthy && s.Healthy.Version == "v2" })
	w.write("note", "a push")
	w.commit("a push")
	w.serve("staging", "v5")
	w.offers("v5")
	if got := w.promotion().DeclinedBefore; !slices.Equal(got, []string{"v2"}) {
		t.Errorf("declined before: %v", got)
	}
}

// TestPromotionOfAPerson: a branch with a person's commit stays as it is when a newer version comes; without davit's rule
// it stays too.
func TestPromotionOfAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newVersion("v4", "")
	w.rule("{from: staging, healthyFor: 1s}")
	w.follow(proposing)
	w.bothHealthy()
	w.serve("staging", "v2")
	w.offers("v2")
	w.git("checkout", "-q", promotionBranch)
	w.git("commit", "-q", "--allow-empty", "-m", "looks good to me")
	w.git("checkout", "-q", "main")
	at := w.git("rev-parse", promotionBranch)
	w.reports = make(chan reconciler.Report, 1000)
	w.serve("staging", "v4")
	w.eventually("v4 is healthy in staging", func() bool { s := w.status("staging"); return s.Phase == v1alpha1.Healthy && s.Healthy.Version == "v4" })
	w.edit("releases/iris/production.yaml", "promote: {from: staging, healthyFor: 1s}", "promote: {from: none}")
	w.commit("no rule any more")
	w.eventually("nothing is proposed", func() bool { return w.promotion().Where == "" })
	if got := w.git("rev-parse", promotionBranch); got != at {
		t.Errorf("the branch was at %s and is at %s", at, got)
	}
}

// TestPromotionOfATraining: of what a training made, the newest is proposed.
func TestPromotionOfATraining(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newVersion("v9", "tune-12ab")
	w.newVersion("v10", "tune-34cd")
	w.newVersion("v11", "tune-more-34cd")
	w.rule("{from: training/tune}")
	w.follow(proposing)
	w.bothHealthy()
	w.offers("v10")
	w.newVersion("v7", "tune-56ef")
	w.commit("a run has ended")
	w.offers("v7")
	if message := w.git("log", "-1", "--format=%B", promotionBranch); !strings.Contains(message, "the newest version that training/tune has made") {
		t.Error(message)
	}
}

// merging has production's environment let rules merge, in a repository where nobody has main checked out.
func (w *world) merging(policy string) {
	w.t.Helper()
	w.edit("environments/production/environment.yaml", "spec:\n", "spec:\n  autoMerge: true\n"+policy)
	w.rule("{from: staging, merge: auto}")
}

// TestPromotionMergesItself: where the rule and the environment say so, gates have passed and no freeze holds.
func TestPromotionMergesItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("models/iris/evidence/v1/card.md", "It was looked at.") // a first release has its gates, too
	w.merging("  gates: {evidence: [card]}\n")
	w.follow(proposing)
	w.bothHealthy()
	until := time.Now().Add(60 * time.Second)
	freeze := fmt.Sprintf("  freeze: [{name: launch, from: 2026-01-01T00:00:00Z, until: %s}]\n", until.UTC().Format(time.RFC3339))
	w.edit("environments/production/environment.yaml", "spec:\n", "spec:\n"+freeze)
	w.serve("staging", "v2")
	w.offers("v2")
	w.eventually("it waits for the freeze", func() bool { return strings.Contains(w.promotion().Waits, "freeze launch lasts until ") })
	w.eventually("it waits for evidence", func() bool { return strings.Contains(w.promotion().Waits, "gate evidence/card: ") })
	if time.Now().Before(until.Truncate(time.Second)) {
		t.Error("the freeze did not last")
	}
	w.git("checkout", "-q", promotionBranch)
	w.write("models/iris/evidence/v2/card.md", "It was looked at.")
	w.commit("the model card of v2")
	w.write("README.md", "and this")
	w.commit("something else")
	w.git("checkout", "-q", "main")
	push := func() {
		w.write("note", time.Now().String())
		w.commit("a push")
	}
	push()
	w.eventually("its branch has something else", func() bool { return strings.Contains(w.promotion().Waits, "its branch changes README.md, too") })
	w.git("branch", "-f", promotionBranch, promotionBranch+"~1")
	push()
	w.eventually("it waits for the checkout", func() bool { return strings.Contains(w.promotion().Waits, "branch main is checked out") })
	w.git("checkout", "-q", "--detach")
	tip := w.git("rev-parse", "main") // a merge must not be pushed over
	w.git("update-ref", "refs/heads/main", w.git("commit-tree", "-p", tip, "-m", "a push from elsewhere", "main^{tree}"), tip)
	w.eventually("it is merged", func() bool {
		return strings.Contains(w.git("show", "main:releases/iris/production.yaml"), "version: v2\n")
	})
	w.until(production, "v2", v1alpha1.Healthy)
	w.withdrawn()
	if got := w.git("log", "-1", "--format=%an %P|%B", "main"); !strings.Contains(got, "Davit-Merged-By-Rule: auto") || !strings.HasPrefix(got, "davit ") || len(strings.Fields(strings.Split(got, "|")[0])) != 3 {
		t.Errorf("the commit is\n%s", got)
	}
	if got := w.git("show", "main:models/iris/evidence/v2/card.md"); got != "It was looked at." {
		t.Errorf("the evidence is %q", got)
	}
}
