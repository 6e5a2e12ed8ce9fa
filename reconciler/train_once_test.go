package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
)

// Once has the trainings of its commit begun when it ends, and waits for no end of theirs; while their ledger can't be read
// it does not end well.
func TestOnceBeginsTrainings(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	writes := func(c *reconciler.Config) { c.Committer = &gitops.Author{Name: "davit", Email: "davit@example.com"} }
	once := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return w.reconciler(writes).Once(ctx)
	}
	if err := once(time.Minute); err != nil { // the releases are settled by that
		t.Fatal(err)
	}
	made := w.jobs()
	w.spec("7", "  resources: {cpu: 100000}") // no node has as much: it waits
	hash := w.hash()
	w.commit("train iris")
	if err := once(time.Minute); err != nil {
		t.Fatal(err)
	}
	if run := w.run(hash); run.State != gitops.RunStarted {
		t.Fatalf("the ledger says %+v", run)
	}
	w.eventually("its Job", func() bool { return len(made()) == 1 })
	if err := once(time.Minute); err != nil { // with the run under way
		t.Fatal(err)
	}

	w.spec("8")
	w.commit("train iris longer")
	good := w.git("rev-parse", gitops.RunsRef)
	w.git("update-ref", gitops.RunsRef, w.git("hash-object", "-w", "davit.yaml"))
	if err := once(20 * time.Second); err == nil || !strings.Contains(err.Error(), "run "+w.hash()[:12]+" in staging: ") {
		t.Fatalf("with an unreadable ledger: %v", err)
	}
	w.git("update-ref", gitops.RunsRef, good)
	if err := once(time.Minute); err != nil {
		t.Fatal(err)
	}
	if run := w.run(w.hash()); run.State == "" || run.State == gitops.RunClaimed {
		t.Fatalf("the ledger says %+v", run)
	}
}
