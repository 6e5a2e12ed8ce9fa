package reconciler_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// detach leaves main to davit, which is checked out nowhere then.
func (w *world) detach() {
	w.t.Helper()
	w.branch = "main"
	w.git("checkout", "-q", "--detach")
}

// push commits to main, which nobody has checked out. What davit merged meanwhile is its parent.
func (w *world) push(message string) {
	w.t.Helper()
	w.git("stash", "-q", "-u")
	w.git("checkout", "-q", "--detach", "main")
	w.git("stash", "pop", "-q")
	w.commit(message)
	w.git("update-ref", "refs/heads/main", "HEAD", "HEAD~1")
}

// on says whether a branch has a file.
func (w *world) on(branch, name string) bool {
	w.t.Helper()
	return strings.Contains("\n"+w.git("ls-tree", "-r", "--name-only", branch)+"\n", "\n"+name+"\n")
}

// A version merges itself where its training and its environment say so, by whichever process; a rule takes it on. One whose
// branch a person went on with is that person's.
func TestVersionMergesItself(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.detach()
	w.edit("releases/iris/staging.yaml", "version: v1\n", "version: v1\n  promote: {from: training/softmax, merge: auto}\n")
	w.spec("1000", "  version: v{n}", "  merge: auto")
	hash := w.publish()
	stop := w.train()
	w.push("train iris")
	run := w.ended(hash, gitops.RunSucceeded)
	const branch, file = "davit/train/iris/v4", "models/iris/versions/v4.yaml"
	if run.Version != "v4" || !w.has(branch) {
		t.Fatalf("ledger says %+v", run)
	}
	w.until(staging, "v1", v1alpha1.Healthy)
	stop() // autoMerge is not set: it waits for a person
	if w.on("main", file) {
		t.Fatal("it was merged where the environment does not let rules merge")
	}
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  autoMerge: true\n")
	w.push("let rules merge")
	stop = w.train()
	w.eventually("merged", func() bool { return w.on("main", file) })
	w.until(staging, "v4", v1alpha1.Healthy)
	w.eventually("the branch is gone", func() bool { return !w.has(branch) })
	text := w.git("log", "-1", "--format=%an: %B", "main", "--", file)
	if !strings.HasPrefix(text, "davit: iris: v4, trained by iris/softmax\n") || !strings.HasSuffix(text, "Davit-Version: iris@v4\nDavit-Merged-By-Rule: auto") {
		t.Errorf("the commit is\n%s", text)
	}
	if !w.on("main", "releases/iris/staging.yaml") || !strings.Contains(w.git("show", "main:releases/iris/staging.yaml"), "version: v4\n") {
		t.Error("the rule did not take it on")
	}

	w.edit("environments/staging/environment.yaml", "  autoMerge: true\n", "")
	w.spec("1000", "  version: v{n}", "  merge: auto", "  attempt: 2")
	second := w.publish()
	w.push("train iris again, for people to look at")
	w.ended(second, gitops.RunSucceeded)
	w.git("checkout", "-q", "davit/train/iris/v5")
	w.write("note", "a person's")
	w.commit("a note")
	w.git("checkout", "-q", "--detach", "main")
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  autoMerge: true\n")
	w.spec("1000", "  version: v{n}", "  merge: auto", "  attempt: 3")
	third := w.publish()
	w.push("a third")
	w.ended(third, gitops.RunSucceeded)
	w.until(staging, "v6", v1alpha1.Healthy)
	if w.on("main", "models/iris/versions/v5.yaml") || !w.has("davit/train/iris/v5") {
		t.Error("a person's branch was merged, or is gone")
	}
	stop()
}

// A deleted branch is a version that was declined: no process proposes it again.
func TestVersionDeclined(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.detach()
	w.spec("1000", "  version: v{n}", "  merge: auto")
	hash := w.publish()
	w.push("train iris")
	stop := w.train()
	w.ended(hash, gitops.RunSucceeded)
	stop()
	w.git("branch", "-D", "davit/train/iris/v4")
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  autoMerge: true\n")
	w.spec("1000", "  version: w{n}", "  merge: auto", "  attempt: 2")
	second := w.publish()
	w.push("and again")
	w.train()
	w.ended(second, gitops.RunSucceeded)
	w.eventually("the second is merged", func() bool { return w.on("main", "models/iris/versions/w1.yaml") })
	if w.has("davit/train/iris/v4") || w.on("main", "models/iris/versions/v4.yaml") {
		t.Error("what was declined is back")
	}
}

// Of what a training made the newest stay, and what something refers to. What is not the training's is left alone, and a
// version that begins to be used while its removal is open stays.
func TestVersionsKept(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.detach()
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  autoMerge: true\n")
	w.train()
	next := func(attempt int, merge string) {
		w.spec("1000", "  version: v{n}", "  keep: 2", "  merge: "+merge, fmt.Sprintf("  attempt: %d", attempt))
		hash := w.publish()
		w.push(fmt.Sprintf("attempt %d", attempt))
		w.ended(hash, gitops.RunSucceeded)
	}
	merged := func(version string) {
		w.eventually(version+" is merged", func() bool { return w.on("main", "models/iris/versions/"+version+".yaml") })
		w.git("checkout", "-q", "--detach", "main")
	}
	for i, version := range []string{"v4", "v5"} {
		next(i+1, "auto")
		merged(version)
	}
	w.edit("releases/iris/staging.yaml", "version: v1\n", "version: v4\n")
	w.write("models/iris/evidence/v5/card.md", "It was looked at.")
	w.push("v4 serves, and v5 has evidence")
	for i, version := range []string{"v6", "v7"} {
		next(i+3, "auto")
		merged(version)
	}
	versions := func(branch string) string {
		return strings.Join(strings.Fields(strings.NewReplacer("models/iris/versions/", "", ".yaml", "").Replace(w.git("ls-tree", "-r", "--name-only", branch, "models/iris/versions"))), " ")
	}
	if got := versions("main"); got != "v1 v2 v3 v4 v5 v6 v7" {
		t.Fatalf("main has %s", got)
	}
	w.edit("releases/iris/staging.yaml", "version: v4\n", "version: v1\n")
	w.push("v4 serves no more")
	w.until(staging, "v1", v1alpha1.Healthy)
	next(5, "review")
	const branch = "davit/train/iris/v8"
	if got := versions(branch); got != "v1 v2 v3 v5 v7 v8" {
		t.Fatalf("%s has %s", branch, got)
	}
	if text := w.git("log", "-1", "--format=%B", branch); !strings.Contains(text, "newest 2 of the versions") || !strings.Contains(text, "    v4, of ") || !strings.Contains(text, "    v6, of ") {
		t.Errorf("the commit is\n%s", text)
	}
	w.edit("releases/iris/staging.yaml", "version: v1\n", "version: v6\n")
	w.spec("1000", "  version: v{n}", "  keep: 2", "  merge: auto", "  attempt: 5")
	w.push("v6 serves, and what is open merges itself")
	merged("v8")
	if got := versions("main"); got != "v1 v2 v3 v5 v6 v7 v8" {
		t.Errorf("main has %s", got)
	}
	w.until(staging, "v6", v1alpha1.Healthy)
}
