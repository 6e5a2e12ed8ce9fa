package fleet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/lineage"
)

// TestModelRuns: the lineage of a model has what the ledger says of the run that made a version, with the spec as it was then, for
// those who may see the run's environment; and its last words for those who may see logs.
func TestModelRuns(t *testing.T) {
	p := newPast(t)
	const spec = "models/iris/training/weekly.yaml"
	p.write(spec, "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec: {environment: staging, image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"}\n")
	asked := p.commit("Ada", "train weekly")
	p.git("rm", "-q", spec)
	p.write("models/iris/versions/v4.yaml", "apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec: {format: safetensors, files: [{path: a, source: models/iris/files/v2/model.safetensors, sha256: "+
		strings.Repeat("ab", 32)+", size: 396}], lineage: {trainedBy: weekly-153019b1}}\n")
	p.commit("Ada", "iris v4, and no more trainings")
	p.read()
	start := time.Unix(firstSecond, 0)
	p.runs = map[string]gitops.Run{"153019b1": {
		Hash: "153019b1", Name: "weekly-153019b1", Training: "iris/weekly", Environment: "staging", Commit: asked, State: gitops.RunSucceeded, Message: "the last words",
		Started: start, Ended: start.Add(90 * time.Second),
	}}
	told := func(v fleet.Viewer) (*lineage.Graph, string) {
		m, err := p.Model(t.Context(), v, name, "iris", "v4")
		if err != nil || len(m.Notes) > 0 {
			t.Fatal(err, m)
		}
		run := m.Lineage.Node("run:iris/weekly-153019b1")
		if run == nil {
			t.Fatalf("no run: %+v", m.Lineage)
		}
		text := ""
		for _, f := range run.Facts {
			text += f.Name + " " + f.Value + "\n"
		}
		return m.Lineage, text
	}
	g, facts := told(fleet.Viewer{})
	for _, want := range []string{"state Succeeded\n", "took 1m30s\n", "message the last words\n", "environment staging\n", "commit " + asked + "\n"} {
		if !strings.Contains(facts, want) {
			t.Errorf("of the run no %q is told, but\n%s", want, facts)
		}
	}
	if then := g.Node("training:iris/weekly " + asked); then == nil || then.Missing || g.Node("code:registry.example.com/train@sha256:"+strings.Repeat("2", 64)) == nil {
		t.Errorf("the spec is not told as it was: %+v", g.Nodes)
	}
	if _, facts = told(fleet.Viewer{Logs: func(_, _ string) bool { return false }}); strings.Contains(facts, "last words") || !strings.Contains(facts, "state Succeeded") {
		t.Errorf("who may not see logs is told\n%s", facts)
	}
	if _, facts = told(fleet.Viewer{May: func(_, environment string) bool { return environment != "staging" }}); facts != "" {
		t.Errorf("who may not see staging is told\n%s", facts)
	}
}
