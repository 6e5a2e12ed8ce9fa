package reconciler_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
)

// elsewhere puts a run into the ledger that another cluster's controller started.
func (w *trainingWorld) elsewhere() (hash string) {
	w.t.Helper()
	ledger, run := w.claim("another")
	run.State, run.Started = gitops.RunStarted, time.Now()
	if _, err := ledger.RecordRun(w.t.Context(), run); err != nil {
		w.t.Fatal(err)
	}
	return run.Hash
}

// claim puts the worktree's run into the ledger, as of HEAD, as somebody may who can write to it.
func (w *trainingWorld) claim(cluster string) (*gitops.Ledger, gitops.Run) {
	w.t.Helper()
	hash := w.hash()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { source.Close() })
	ledger := source.NewLedger(gitops.Author{Name: "davit", Email: "davit@example.com"})
	run, _, err := ledger.ClaimRun(w.t.Context(), gitops.Run{
		Hash: hash, Name: "softmax-" + hash[:8], Training: "iris/softmax", Environment: "staging", Commit: w.git("rev-parse", "HEAD"), Cluster: cluster,
		Claimed: time.Now().Add(-72 * time.Hour),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ledger, run
}

// Who can write to the ledger has nothing run that was not merged.
func TestTrainingNotMerged(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	w.git("checkout", "-q", "-b", "mine")
	w.spec("8", "  ttl: 1000h")
	w.commit("train iris")
	uid, err := w.cluster.UID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, run := w.claim(uid)
	w.git("checkout", "-q", "main")
	w.train()
	w.ended(run.Hash, gitops.RunLost)
	if all := made(); len(all) != 0 {
		t.Fatalf("it made the Jobs %q", all)
	}
}

// A new cluster does not train again what an earlier one did, and finds what that published.
func TestTrainingInNewCluster(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	w.spec("8")
	w.commit("train iris")
	lost := w.elsewhere()
	w.spec("9")
	w.commit("train iris longer")
	published := w.elsewhere()
	w.publish()
	w.train()
	if run := w.ended(published, gitops.RunSucceeded); run.Version != "softmax-"+published[:8] {
		t.Fatalf("ledger says %+v", run)
	}
	if run := w.ended(lost, gitops.RunLost); !strings.Contains(run.Message, "another cluster") {
		t.Fatalf("ledger says %+v", run)
	}
	w.until(staging, "v1", "Healthy")
	if all := made(); len(all) != 0 {
		t.Fatalf("it made the Jobs %q", all)
	}
}

// What a training made is promoted by a rule that names the training, once its version is merged.
func TestTrainingIsPromoted(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("1000", "  version: v{n}")
	hash := w.publish()
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v1\n  promote: {from: training/softmax}")
	w.commit("train iris, and promote what comes of it to staging")
	w.train()
	w.ended(hash, gitops.RunSucceeded)
	w.git("merge", "-q", "--no-ff", "-m", "Merge v4", "davit/train/iris/v4")
	w.eventually("promoted", func() bool { return w.git("branch", "--list", "davit/promote/staging/iris") != "" })
	if text := w.git("show", "davit/promote/staging/iris:releases/iris/staging.yaml"); !strings.Contains(text, "version: v4") {
		t.Fatalf("the promotion says\n%s", text)
	}
}

// A run whose commit is gone from the history is found all the same, and what it made is proposed.
func TestTrainingOfRewrittenHistory(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	w.spec("8", "  resources: {cpu: 100000}") // no node has as much: it waits
	hash := w.hash()
	w.commit("train iris")
	stop := w.train()
	w.eventually("started", func() bool { return w.run(hash).State == gitops.RunStarted })
	stop()
	w.publish()
	w.git("reset", "-q", "--hard", "HEAD~1")
	w.git("reflog", "expire", "--expire=now", "--all")
	w.git("gc", "-q", "--prune=now")
	w.edit("releases/iris/staging.yaml", "kind: Release", "kind: Release # again")
	w.commit("without the training")
	background := metav1.DeletePropagationBackground
	if err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(t.Context(), "softmax-"+hash[:8], metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	w.follow(func(c *reconciler.Config) {
		c.Committer, c.AcceptRewrite = &gitops.Author{Name: "davit", Email: "davit@example.com"}, true
	})
	if run := w.ended(hash, gitops.RunSucceeded); !strings.Contains(w.git("show", "davit/train/iris/"+run.Version+":models/iris/versions/"+run.Version+".yaml"), "trainedBy: "+run.Name) {
		t.Fatalf("ledger says %+v", run)
	}
	if all := made(); len(all) != 1 {
		t.Fatalf("it made the Jobs %q", all)
	}
}
