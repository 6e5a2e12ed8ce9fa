package reconciler_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

const inFolder = "ml/registry"

// moveIntoFolder moves the registry into a folder, beside something else.
func (w *world) moveIntoFolder() {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Join(w.dir, inFolder), 0o755); err != nil {
		w.t.Fatal(err)
	}
	for name := range strings.FieldsSeq(w.git("ls-tree", "--name-only", "HEAD")) {
		w.git("mv", name, inFolder+"/"+name)
	}
	w.write("app/main.go", "package main\n")
	w.commit("the registry moves into a folder")
}

// inFolderOf has a reconciler read the folder alone.
func (w *world) inFolderOf(folder string) func(*reconciler.Config) {
	return func(c *reconciler.Config) {
		source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir, Folder: folder})
		if err != nil {
			w.t.Fatal(err)
		}
		c.Source = source
	}
}

// TestMoveIntoFolder: a registry that moves rolls nothing, and a release goes back across the move.
func TestMoveIntoFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, healthy := w.deployment("iris"), w.status("production").Healthy.Commit
	w.moveIntoFolder()
	if err := w.reconciler(w.inFolderOf("ml")).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "no davit.yaml") || !strings.Contains(err.Error(), "reading the registry in ml at ") {
		t.Errorf("the folder above: %v", err)
	}
	if err := w.reconciler(w.inFolderOf("ml/regstry")).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "has no folder ml/regstry: ml has registry") {
		t.Errorf("a folder that is not there: %v", err)
	}
	w.follow(proposing, w.inFolderOf(inFolder))
	w.edit(inFolder+"/releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("something else is promoted")
	w.until(staging, "v2", v1alpha1.Healthy)
	if now := w.deployment("iris"); now.Generation != before.Generation || now.UID != before.UID {
		t.Errorf("the move rolled: generation %d, before %d", now.Generation, before.Generation)
	}
	if now := w.status("production").Healthy.Commit; now != healthy {
		t.Errorf("healthy at %s, before %s", now, healthy)
	}
	w.edit(inFolder+"/releases/iris/production.yaml", "version: v1", "version: v3")
	w.write("app/main.go", "package main // 2\n")
	w.commit("promote v3, and the app")
	w.until(production, "v1", v1alpha1.RolledBack)
	w.proposed(revertBranch)
	if got := w.git("diff", "--name-only", "main", revertBranch); got != inFolder+"/releases/iris/production.yaml" {
		t.Errorf("the proposal changes %q", got)
	}
	w.git("merge", "-q", "-m", "take iris back", revertBranch)
	w.eventually("the hold has ended", func() bool { s := w.of("iris"); return s.Held == nil && s.Phase == v1alpha1.Healthy })
	w.eventually("the branch is gone", func() bool { return !w.has(revertBranch) })
}

// TestSemverInFolder follows the newest tag of a range in a folder by a ModelRegistry: through a promotion, a release that
// fails, whose revert is proposed to the default branch and followed when that is tagged, and back to an older tag.
func TestSemverInFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.moveIntoFolder()
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	patch := func(spec string, args ...any) {
		t.Helper()
		text := fmt.Appendf(nil, `{"spec":`+spec+`}`, args...)
		if _, err := registries.Patch(t.Context(), "models", types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	tag := func(name string) string {
		w.git("tag", "-a", "-m", name, name)
		return w.git("rev-parse", "HEAD")
	}
	followed := func(tag, commit string) {
		t.Helper()
		w.eventually("followed "+tag, func() bool {
			mr, ready := w.registry(registries)
			return ready.Reason == "Followed" && mr.Status.Revision == tag+"@sha1:"+commit[:12]
		})
	}
	first := tag("v1.0.0")
	patch(`{"semver":">=1.0.0 <2.0.0","path":"./ml/registry/"}`)
	defer w.control("first", namespace, make(chan string, 10))()
	w.until(production, "v1", v1alpha1.Healthy)
	followed("v1.0.0", first)

	// A commit is followed when it is tagged, and only within the range.
	w.write("app/main.go", "package main // 2\n")
	w.commit("the app")
	beside := w.git("rev-parse", "HEAD")
	w.edit(inFolder+"/releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.git("tag", "v2.0.0")
	w.git("tag", "v1.0.1", beside)
	followed("v1.0.1", beside)
	if w.serves() != "v1" {
		t.Error("v2 is served before it was tagged")
	}
	followed("v1.1.0", tag("v1.1.0"))
	w.until(production, "v2", v1alpha1.Healthy)

	// What fails is taken back on the branch, on top of what that has by then, and in the folder alone.
	w.edit(inFolder+"/releases/iris/production.yaml", "version: v2", "version: v3")
	w.commit("promote v3")
	tag("v1.2.0")
	w.write("app/main.go", "package main // 3\n")
	w.commit("the app goes on")
	w.until(production, "v2", v1alpha1.RolledBack)
	w.proposed(revertBranch)
	if got := w.git("diff", "--name-only", "main", revertBranch); got != inFolder+"/releases/iris/production.yaml" {
		t.Errorf("the proposal changes %q", got)
	}
	if got := w.git("rev-parse", revertBranch+"^"); got != w.git("rev-parse", "main") {
		t.Errorf("the proposal is on %s", got)
	}
	w.git("merge", "-q", "--no-ff", "-m", "take iris back", revertBranch)
	followed("v1.2.1", tag("v1.2.1"))
	w.eventually("the hold has ended", func() bool { s := w.of("iris"); return s.Held == nil && s.Phase == v1alpha1.Healthy })
	w.eventually("the branch is gone", func() bool { return !w.has(revertBranch) })

	// Back to an older tag only when a person accepts it.
	patch(`{"semver":null,"tag":"v1.0.0"}`)
	w.eventually("held", func() bool {
		_, ready := w.registry(registries)
		return ready.Reason == "HistoryRewritten" && strings.Contains(ready.Message, "v1.0.0@sha1:"+first[:12]) &&
			strings.Contains(ready.Message, "the way back to an older tag: acceptRewrite: "+first)
	})
	if w.serves() != "v2" {
		t.Error("gone back before it was accepted")
	}
	patch(`{"acceptRewrite":%q}`, first)
	w.until(production, "v1", v1alpha1.Healthy)
	followed("v1.0.0", first)
}

// TestPromotionBesideATag: a rule's promotion is proposed to the branch, on what that has by then, and no rule merges it; it is
// followed, and was not declined, when a person merged and tagged it.
func TestPromotionBesideATag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("{from: staging, healthyFor: 1s, merge: auto}")
	w.git("tag", "live")
	w.follow(proposing, func(c *reconciler.Config) {
		source, err := gitops.Open(t.Context(), gitops.Config{URL: w.dir, Tag: "live"})
		if err != nil {
			t.Fatal(err)
		}
		c.Source = source
	})
	w.bothHealthy()
	w.serve("staging", "v2")
	w.git("tag", "-f", "live")
	w.write("README.md", "the branch goes on\n")
	w.edit("releases/iris/production.yaml", "  promote:", "  # as the branch has it\n  promote:")
	w.commit("not tagged yet")
	w.until(staging, "v2", v1alpha1.Healthy)
	w.offers("v2")
	if got := w.git("rev-parse", promotionBranch+"^"); got != w.git("rev-parse", "main") {
		t.Errorf("the promotion is on %s", got)
	}
	if text := w.git("show", promotionBranch+":releases/iris/production.yaml"); !strings.Contains(text, "# as the branch has it") {
		t.Errorf("the promotion takes back what the branch has:\n%s", text)
	}
	w.eventually("for a person to merge", func() bool {
		return strings.Contains(w.promotion().Waits, "tag live is followed, and not branch main; a person is to merge it, and to tag")
	})
	w.git("merge", "-q", "--no-ff", "-m", "take it", promotionBranch)
	w.git("branch", "-D", promotionBranch)
	w.git("tag", "-f", "live")
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("no longer proposed", func() bool { p := w.promotion(); return p.Version == "" && !p.Declined })
}
