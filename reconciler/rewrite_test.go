package reconciler_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// listened follows as davit sync does; heard waits for what is said of the branch's present commit.
func (w *world) listened(edits ...func(*reconciler.Config)) (heard func() error, stop func()) {
	type followed struct {
		commit gitops.Hash
		err    error
	}
	told := make(chan followed, 100)
	stop = w.follow(append(edits, func(c *reconciler.Config) {
		c.Followed = func(commit gitops.Hash, err error) { told <- followed{commit, err} }
	})...)
	return func() error {
		w.t.Helper()
		head := w.git("rev-parse", "HEAD")
		for deadline := time.After(90 * time.Second); ; {
			select {
			case f := <-told:
				if f.commit.String() == head {
					return f.err
				}
			case <-deadline:
				w.t.Fatalf("nothing said of %s", head)
			}
		}
	}, stop
}

func rewritten(err error) bool { return errors.As(err, new(*reconciler.RewrittenError)) }

// TestRewrittenBranch: nothing moves while the branch does not have what was followed last, in a process that saw it and
// in the next one, which goes on watching what is there. A commit after it goes on by itself, another history when it is
// accepted; that is then no news to the next process.
func TestRewrittenBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard, stop := w.listened()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	good := w.git("rev-parse", "HEAD")
	heard()
	w.git("reset", "-q", "--hard", "HEAD~1")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("another history")
	other := w.git("rev-parse", "HEAD")
	err := heard()
	if !rewritten(err) || !strings.Contains(err.Error(), good[:12]) || !strings.Contains(err.Error(), "acceptRewrite: "+other) || !strings.Contains(err.Error(), "davit sync --accept-rewrite") {
		t.Fatalf("told: %v", err)
	}
	stop()
	heard, stop = w.listened()
	if err := heard(); !rewritten(err) {
		t.Fatalf("the next process: %v", err)
	}
	w.scale("iris", 3)
	w.eventually("corrected meanwhile", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	if w.serves() != "v2" || w.status("staging").Applied.Version != "v1" {
		t.Errorf("production at %s, staging at %s", w.serves(), w.status("staging").Applied.Version)
	}
	w.git("reset", "-q", "--hard", good)
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
	w.commit("after what was followed")
	if err := heard(); err != nil {
		t.Errorf("back again: %v", err)
	}
	w.eventually("two replicas", func() bool { return *w.deployment("iris").Spec.Replicas == 2 })
	w.until(production, "v2", v1alpha1.Healthy)
	stop()

	w.git("reset", "-q", "--hard", other)
	if err := w.reconciler().Once(t.Context()); !rewritten(err) {
		t.Errorf("once: %v", err)
	}
	if err := w.reconciler(func(c *reconciler.Config) { c.AcceptRewrite = true }).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.serves() != "v1" || w.status("staging").Applied.Version != "v2" {
		t.Errorf("production at %s, staging at %s", w.serves(), w.status("staging").Applied.Version)
	}
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Errorf("once accepted: %v", err)
	}
}

// TestRewrittenWithoutEffect: a rewrite that changes no release leaves each where it is, claimed for the new history.
func TestRewrittenWithoutEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.deployment("iris").Generation
	w.git("commit", "-q", "--amend", "-m", "the same, with another message")
	if err := w.reconciler().Once(t.Context()); !rewritten(err) {
		t.Errorf("once: %v", err)
	}
	if err := w.reconciler(func(c *reconciler.Config) { c.AcceptRewrite = true }).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := w.git("rev-parse", "HEAD")
	if mr := w.release("production"); mr.Spec.Claim.Commit != head || mr.Status.Applied.Commit != head || mr.Status.Healthy.Commit != head || mr.Pending() || mr.Status.Phase != v1alpha1.Healthy {
		t.Errorf("accepted: %+v", mr)
	}
	if after := w.deployment("iris").Generation; after != before {
		t.Errorf("generation %d, was %d", after, before)
	}
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Errorf("the next process: %v", err)
	}
}

// TestForgottenCommit: what was applied last is not in the repository, as in a clone that is behind or after a forced push,
// so nobody can say what comes after it. Nothing is applied until that is accepted.
func TestForgottenCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	forgotten := w.git("rev-parse", "HEAD")
	w.until(production, "v2", v1alpha1.Healthy)
	stop()
	w.forget("HEAD~1")
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
	w.commit("another history")
	heard, stop := w.listened()
	if err := heard(); !rewritten(err) || !strings.Contains(err.Error(), "commit "+forgotten[:12]+", which was followed last, is not in this repository") {
		t.Errorf("told: %v", err)
	}
	if n := *w.deployment("iris").Spec.Replicas; n != 1 || w.serves() != "v2" {
		t.Errorf("%d replicas of %s", n, w.serves())
	}
	stop()
	w.follow(func(c *reconciler.Config) { c.AcceptRewrite = true })
	w.until(production, "v1", v1alpha1.Healthy)
}

// forget sets the branch back and has git delete what was there.
func (w *world) forget(to string) {
	w.t.Helper()
	w.git("reset", "-q", "--hard", to)
	w.git("reflog", "expire", "--expire=now", "--all")
	w.git("gc", "-q", "--prune=now")
}

// registry reads w's ModelRegistry and its condition Ready.
func (w *world) registry(registries dynamic.ResourceInterface) (mr v1alpha1.ModelRegistry, ready metav1.Condition) {
	w.t.Helper()
	live, err := registries.Get(w.t.Context(), "models", get)
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &mr)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if c := meta.FindStatusCondition(mr.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		ready = *c
	}
	return mr, ready
}

// TestRewrittenRegistry: a controller notices a rewrite that no release tells of, also one that happened while it was
// away and whose old commit is gone; spec.acceptRewrite accepts one rewrite, and not the next.
func TestRewrittenRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	leads := make(chan string, 10)
	stop := w.control("first", namespace, leads)
	w.until(production, "v1", v1alpha1.Healthy)
	w.write("README.md", "one\n")
	w.commit("nothing of concern")
	followed := func(head string) {
		t.Helper()
		w.eventually("followed "+head, func() bool {
			mr, ready := w.registry(registries)
			return ready.Reason == "Followed" && len(mr.Status.Followed) == 1 && mr.Status.Followed[0] == v1alpha1.FollowedCommit{Environment: "production", Commit: head}
		})
	}
	old := w.git("rev-parse", "HEAD")
	followed(old)
	stop()
	w.forget("HEAD~1")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("a rewrite that promotes")
	defer w.control("second", namespace, leads)()
	held := func(old, head string) {
		t.Helper()
		w.eventually("held", func() bool {
			mr, ready := w.registry(registries)
			return ready.Status == metav1.ConditionFalse && ready.Reason == "HistoryRewritten" && strings.Contains(ready.Message, old[:12]) &&
				strings.Contains(ready.Message, "acceptRewrite: "+head) && mr.Status.Followed[0].Commit == old
		})
	}
	head := w.git("rev-parse", "HEAD")
	held(old, head)
	if w.serves() != "v1" {
		t.Error("applied all the same")
	}
	patch := []byte(`{"spec":{"acceptRewrite":"` + head + `"}}`)
	if _, err := registries.Patch(t.Context(), "models", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until(production, "v2", v1alpha1.Healthy)
	followed(head)
	w.write("README.md", "two\n")
	w.commit("after it")
	old = w.git("rev-parse", "HEAD")
	followed(old)
	w.git("reset", "-q", "--hard", "HEAD~1")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.commit("another rewrite")
	held(old, w.git("rev-parse", "HEAD"))
	if w.serves() != "v2" {
		t.Error("the second rewrite was applied")
	}
}

// TestTwoFollow: what one controller followed is nothing to another that works on other environments.
func TestTwoFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	behind := gitops.ParseHash(w.git("rev-parse", "HEAD"))
	w.write("README.md", "one\n")
	w.commit("what the other controller has seen already")
	ahead := gitops.ParseHash(w.git("rev-parse", "HEAD"))
	w.git("reset", "-q", "--hard", "HEAD~1")
	last := map[string]gitops.Hash{"production": behind, "staging": ahead}
	for _, c := range []struct {
		only string
		held bool
	}{{"production", false}, {"staging", true}} {
		err := w.reconciler(func(cfg *reconciler.Config) { cfg.Only, cfg.Last = []string{c.only}, last }).Once(t.Context())
		if rewritten(err) != c.held {
			t.Errorf("%s: %v", c.only, err)
		}
	}
}

// TestEverySigned: where every commit must be signed, one that is not holds the environment wherever in the history it
// is, also after a restart, until a person accepts it. Where only the newest counts it is followed.
func TestEverySigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sign, signers := w.signing()
	sign("the beginning, what is below it unseen")
	start := func(last gitops.Hash, accept string) (heard func() error, stop func()) {
		return w.listened(func(c *reconciler.Config) {
			c.Grants = map[string]reconciler.Grant{
				"production": {Cluster: w.cluster, Signers: signers, Every: true}, "staging": {Cluster: w.cluster, Signers: signers},
			}
			c.Cluster, c.Accept, c.Last = nil, gitops.ParseHash(accept), map[string]gitops.Hash{"production": last}
		})
	}
	heard, stop := start(gitops.Hash{}, "")
	if err := heard(); err != nil {
		t.Fatal(err)
	}
	w.until(production, "v1", v1alpha1.Healthy)
	last := gitops.ParseHash(w.git("rev-parse", "HEAD"))

	w.git("checkout", "-q", "-b", "feature")
	for _, env := range []string{"production", "staging"} {
		w.edit("releases/iris/"+env+".yaml", "version: v1", "version: v2")
	}
	w.commit("nobody signs a feature")
	unsigned := w.git("rev-parse", "HEAD")
	w.git("checkout", "-q", "main")
	w.git("merge", "-q", "--no-ff", "--no-commit", "feature")
	sign("merged with a signature")
	refused := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "environment production stays where it is: commit "+unsigned[:12]+" is not signed") ||
			!strings.Contains(err.Error(), "acceptRewrite: ") || strings.Contains(err.Error(), "staging") {
			t.Errorf("told: %v", err)
		}
	}
	refused(heard())
	w.until(staging, "v2", v1alpha1.Healthy)
	sign("one more on top")
	refused(heard())
	stop()
	heard, stop = start(last, "")
	refused(heard())
	if w.serves() != "v1" {
		t.Error("applied all the same")
	}
	stop()
	heard, stop = start(last, unsigned) // not signed itself
	refused(heard())
	stop()
	heard, stop = start(last, w.git("rev-parse", "HEAD"))
	defer stop()
	if err := heard(); err != nil {
		t.Errorf("accepted: %v", err)
	}
	w.until(production, "v2", v1alpha1.Healthy)
	sign("goes on")
	if err := heard(); err != nil {
		t.Errorf("after what was accepted: %v", err)
	}
}
