package reconciler_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// proposing has a reconciler propose reverts.
func proposing(c *reconciler.Config) {
	author := gitops.Davit()
	c.Committer = &author
}

const revertBranch = "davit/revert/production/iris"

// proposed waits until a branch is in the repository, and the release's status names it.
func (w *world) proposed(branch string) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%+v", w.of("iris"))
		}
	}()
	w.eventually(branch+" is proposed", func() bool {
		return w.has(branch) && w.of("iris").Held != nil && w.of("iris").Held.Proposal == branch
	})
}

func (w *world) has(branch string) bool {
	cmd := exec.Command("git", "show-ref", "-q", "--verify", "refs/heads/"+branch)
	cmd.Dir = w.dir
	return cmd.Run() == nil
}

// TestRevertIsProposed: the bad commit is a merge that changed another release, too, and both releases' files have changed
// since in places where git revert would stop. The proposal takes back the failed release alone, merges clean, says what
// failed, and goes when it is merged.
func TestRevertIsProposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.commit("a second release")
	w.follow(proposing)
	w.all("iris", "ranker")
	good := w.git("rev-parse", "HEAD")
	w.git("switch", "-q", "-c", "feature")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.edit("releases/ranker/production.yaml", "version: v1", "version: v2")
	w.commit("iris v3 and ranker v2")
	w.git("switch", "-q", "main")
	w.git("merge", "-q", "--no-ff", "-m", "Merge two promotions", "feature")
	bad := w.git("rev-parse", "HEAD")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.proposed(revertBranch)
	if got := w.git("diff", "--name-only", "main", revertBranch); got != "releases/iris/production.yaml" {
		t.Errorf("the proposal changes %q", got)
	}
	message := w.git("log", "-1", "--format=%B", revertBranch)
	for _, part := range []string{"Revert production/iris to v1", "v3 failed in production", "exited with code 1", "Davit-Reverts: " + bad, "Davit-Restores: "} {
		if !strings.Contains(message, part) {
			t.Errorf("the message does not say %q:\n%s", part, message)
		}
	}
	w.edit("releases/ranker/production.yaml", "version: v2", "version: v1") // here git revert would stop
	w.commit("ranker goes back by hand")
	w.git("merge", "-q", "-m", "take iris back", revertBranch)
	w.eventually("the hold has ended", func() bool { s := w.of("iris"); return s.Held == nil && s.Phase == v1alpha1.Healthy })
	w.eventually("the branch is gone", func() bool { return !w.has(revertBranch) })
	if got := w.git("diff", "--name-only", good, "main"); got != "" {
		t.Errorf("against the good commit main differs in %q", got)
	}
}

// TestSharedRevertIsProposed: a shared file that fails one release and not the other is taken back as a whole, once.
func TestSharedRevertIsProposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.commit("a second release")
	w.follow(proposing)
	w.all("iris", "ranker")
	good := w.git("rev-parse", "HEAD")
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "dnsPolicy: Nonsense")
	w.commit("a runtime that the API server refuses")
	branch := "davit/revert/production/_" + w.git("rev-parse", "HEAD")[:12]
	w.proposed(branch)
	w.eventually("ranker's status names it", func() bool { return w.of("ranker").Held != nil && w.of("ranker").Held.Proposal == branch })
	if message := w.git("log", "-1", "--format=%B", branch); !strings.Contains(message, `Revert "a runtime that the API server refuses"`) || !strings.Contains(message, "/iris: Refused") {
		t.Errorf("the message is\n%s", message)
	}
	w.git("merge", "-q", "-m", "take it back", branch)
	w.eventually("both are healthy", func() bool { return w.of("iris").Held == nil && w.of("ranker").Held == nil })
	w.eventually("the branch is gone", func() bool { return !w.has(branch) })
	if got := w.git("diff", "--name-only", good, "main"); got != "" {
		t.Errorf("against the good commit main differs in %q", got)
	}
}

// TestProposalsOfAnEarlierProcess: what was held, and what was proposed, when a process ended is brought in line by the
// next. With "git: none" nothing is proposed.
func TestProposalsOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.until(production, "v1", v1alpha1.RolledBack)
	stop()
	stop = w.follow(proposing)
	w.proposed(revertBranch)
	stop()
	w.git("merge", "-q", revertBranch)
	if err := w.reconciler().Once(t.Context()); err != nil { // one that proposes nothing leaves the branch
		t.Fatal(err)
	}
	if !w.has(revertBranch) {
		t.Fatal("the branch is gone already")
	}
	stop = w.follow(proposing)
	w.eventually("the branch is gone", func() bool { return !w.has(revertBranch) })
	stop()

	w.edit("environments/production/environment.yaml", "rollback: {onFailure: rollback}", "rollback: {onFailure: rollback, git: none}")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("again, and nothing is to be proposed")
	w.follow(proposing, noting)
	w.until(production, "v1", v1alpha1.RolledBack)
	w.eventually("the outcome is in Git", func() bool { // written seconds after proposals are
		return strings.Contains(strings.Join(w.outcomes(), "\n"), "production/iris v3 RolledBack")
	})
	if w.has(revertBranch) || w.of("iris").Held.Proposal != "" {
		t.Error("a revert was proposed")
	}
}

// promoteBroken promotes v3, which crashes, and waits for the proposal.
func (w *world) promoteBroken() {
	w.t.Helper()
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote v3")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.proposed(revertBranch)
}

// TestProposalOfOthersIsLeft: a branch with a person's commit is not deleted, nor one of an environment that another
// controller works on.
func TestProposalOfOthersIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow(proposing)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promoteBroken()
	stop()
	w.edit("releases/iris/production.yaml", "version: v3", "version: v1")
	w.commit("by hand")
	onlyStaging := func(c *reconciler.Config) { c.Only = []string{"staging"} }
	if err := w.reconciler(proposing, onlyStaging).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.has(revertBranch) {
		t.Fatal("staging's controller deleted production's proposal")
	}
	w.git("checkout", "-q", revertBranch)
	w.git("commit", "-q", "--allow-empty", "-m", "a person's own mending")
	w.git("checkout", "-q", "main")
	if err := w.reconciler(proposing).Once(t.Context()); err != nil { // what is due is done before it ends
		t.Fatal(err)
	}
	if got := w.of("iris"); got.Held != nil || !w.has(revertBranch) {
		t.Errorf("a person's work was deleted, or the hold goes on: %+v", got.Held)
	}
	w.git("merge", "-q", "-m", "take it", revertBranch)
	if err := w.reconciler(proposing).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.has(revertBranch) {
		t.Error("the branch is merged and still there")
	}
}

// TestProposalIsNotForeign: a branch that somebody else made first under the proposal's name is not proposed.
func TestProposalIsNotForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.reconciler(proposing).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.git("checkout", "-q", "-b", revertBranch)
	w.git("commit", "-q", "--allow-empty", "-m", "not davit's")
	foreign := w.git("rev-parse", "HEAD")
	w.git("checkout", "-q", "main")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote v3")
	for range 2 { // also by a process that finds the branch
		_ = w.reconciler(proposing).Once(t.Context())
		if held := w.of("iris").Held; held == nil || held.Proposal != "" || w.git("rev-parse", revertBranch) != foreign {
			t.Errorf("held %+v", held)
		}
	}
}

// refuse has production's releases run on a runtime that the API server refuses.
func (w *world) refuse() {
	w.edit("environments/production/environment.yaml", "iris-server: 0.1.0", "iris-server: 0.2.0")
	for _, name := range []string{"runtime.yaml", "service.yaml", "kustomization.yaml"} {
		w.write("runtimes/iris-server/0.2.0/"+name, w.text("runtimes/iris-server/0.1.0/"+name))
	}
	w.write("runtimes/iris-server/0.2.0/deployment.yaml", strings.Replace(w.text("runtimes/iris-server/0.1.0/deployment.yaml"), "terminationGracePeriodSeconds: 10", "dnsPolicy: Nonsense", 1))
}

// TestUndoTakesBackWhatIsShared: of a commit that changed more, what the failed release stands on is taken back; once, also
// when a person deletes the proposal. A commit that broke things for which the registry can't be read keeps nobody from
// starting.
func TestUndoTakesBackWhatIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.commit("a second release")
	stop := w.follow(proposing)
	w.all("iris", "ranker")
	good := w.git("rev-parse", "HEAD")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.write("README.md", "new docs")
	w.refuse()
	w.commit("a squashed pull request")
	branch := "davit/revert/production/_" + w.git("rev-parse", "HEAD")[:12]
	w.proposed(branch)
	w.until(staging, "v2", v1alpha1.Healthy)
	if got := w.git("diff", "--name-only", good, branch); got != "README.md\nreleases/iris/staging.yaml" {
		t.Errorf("against the good commit the proposal differs in %q", got)
	}
	stop()
	w.git("branch", "-q", "-D", branch)
	w.git("mv", "davit.yaml", "moved.yaml")
	w.commit("davit.yaml is gone")
	stop = w.follow(proposing)
	w.git("mv", "moved.yaml", "davit.yaml")
	w.edit("releases/iris/staging.yaml", "version: v2", "version: v1")
	w.commit("davit.yaml is back")
	w.until(staging, "v1", v1alpha1.Healthy)
	stop()
	if held := w.of("iris").Held; held == nil || held.Proposal != branch || w.has(branch) {
		t.Errorf("proposed again, or not held: %+v", held)
	}
}

// TestRevertOfWhatWasHealthy: what a commit changed without an effect on the release is not taken back with what failed
// after it; and where the healthy version was a person's pin, the version alone is set back.
func TestRevertOfWhatWasHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v1\n  replicas: 3")
	w.commit("production has three")
	w.follow(proposing)
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/serving.yaml", "  replicas: 1", "  replicas: 2")
	w.commit("staging goes to two")
	w.eventually("staging has two", func() bool {
		d, err := w.kubectl().AppsV1().Deployments(w.namespace("staging")).Get(t.Context(), "iris", get)
		return err == nil && *d.Spec.Replicas == 2
	})
	w.promoteBroken()
	if got := w.git("diff", "--name-only", "main", revertBranch); got != "releases/iris/production.yaml" {
		t.Errorf("the proposal changes %q", got)
	}
	w.pin("HEAD", "v2")
	w.pinnedAt("v2")
	w.eventually("the branch is gone", func() bool { return !w.has(revertBranch) })
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Pin = nil })
	w.until(production, "v2", v1alpha1.RolledBack)
	w.proposed(revertBranch)
	if got := w.git("diff", "main", revertBranch); !strings.Contains(got, "+  version: v2") || strings.Count(got, "\n+") != 2 {
		t.Errorf("the proposal is\n%s", got)
	}
}
