package reconciler_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Runs and releases share a quota: what does not fit waits, for a new process too, the run that was asked for first comes
// first, and what ends gives way to what waits.
func TestQuotaOfRuns(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.policy("staging", "  quota: {gpus: 4}\n")
	run := func(name, gpus string) {
		w.spec("7", "  accelerator: gpu", "  gpus: "+gpus, "  onRemove: cancel") // no node here has any: it stays under way
		w.write("models/iris/training/"+name+".yaml", w.text(softmax))
		w.remove(softmax)
	}
	state := func(training string) gitops.RunState {
		runs, err := w.ledger.Runs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.Training == "iris/"+training {
				return r.State
			}
		}
		return ""
	}
	held := func() bool {
		st := w.status("staging")
		return st.Reason == "QuotaExceeded" && strings.Contains(st.Message, "environment staging may have 4 GPUs: 3 are in use or promised, and iris asks for 2")
	}
	run("first", "3")
	w.commit("the first wants three")
	stop := w.train()
	w.eventually("the first is under way", func() bool { return state("first") == gitops.RunStarted })
	w.until(staging, "v1", v1alpha1.Healthy)
	run("zuerst", "2") // by name it is the last
	w.commit("another wants two")
	run("other", "3")
	w.commit("and another three")
	w.edit("releases/iris/staging.yaml", "version: v1\n", "version: v1\n  accelerator: gpu\n  gpus: 2\n")
	w.commit("iris wants two")
	w.eventually("the release waits", held)
	stop()
	stop = w.train() // which knows by the ledger what is under way
	w.edit("releases/iris/staging.yaml", "  gpus: 2\n", "  gpus: 1\n")
	w.commit("iris wants one, which there is")
	w.eventually("the release goes on", func() bool { return w.release("staging").Spec.Claim.Commit == w.git("rev-parse", "HEAD") })
	if zuerst, other := state("zuerst"), state("other"); zuerst != "" || other != "" {
		t.Fatalf("runs beyond the quota are %q and %q", zuerst, other)
	}
	w.remove("models/iris/training/first.yaml")
	w.commit("the first is not wanted any more")
	w.eventually("the next is under way", func() bool { return state("zuerst") == gitops.RunStarted })
	if got := state("first"); got != gitops.RunCanceled {
		t.Errorf("the first is %s", got)
	}
	if got := state("other"); got != "" {
		t.Errorf("with 3 of 4 GPUs in use, a run of 3 more is %s", got)
	}
	w.remove("models/iris/training/zuerst.yaml")
	w.commit("nor the next")
	w.eventually("the last is under way", func() bool { return state("other") == gitops.RunStarted })
	stop()
}
