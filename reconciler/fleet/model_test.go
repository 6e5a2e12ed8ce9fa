package fleet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/fleet"
)

func TestModel(t *testing.T) {
	s := newStory(t)
	s.write("models/iris/versions/v10.yaml", `apiVersion: davit.dev/v1alpha1
kind: ModelVersion
spec:
  format: safetensors
  parameters: 23
  files: [{path: a, source: models/iris/files/v2/model.safetensors, sha256: `+strings.Repeat("ab", 32)+`, size: 396}]
  metrics: {accuracy: 0.97, f1: 0.9}
  datasets: [{name: flowers, uri: "s3://data/flowers"}]
  lineage: {baseVersion: v2, trainedBy: weekly-153019b1}
`)
	s.write("models/iris/bad/v3.yaml", "apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: it crashes, by: grace@example.com, at: 2026-01-02T04:00:00Z}\n")
	s.edit("releases/iris/production.yaml", "version: v3", "version: v1")
	made := s.commit("Grace", "iris v10")
	s.read()
	m, err := s.Model(t.Context(), fleet.Viewer{}, "models", "iris", "")
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	var names []string
	for _, v := range m.History {
		names = append(names, v.Version)
	}
	if !slices.Equal(names, []string{"v10", "v3", "v2", "v1"}) || m.Newest != "v10" || !slices.Equal(m.Metrics, []string{"accuracy", "f1"}) || m.Task == "" || m.CardCut || !strings.HasPrefix(m.Card, "# Irises") {
		t.Errorf("%v, %+v", names, m)
	}
	if v := m.History[0]; v.Commit != made || v.Author != "Grace" || v.Bytes != 396 || v.Files != 1 || v.Parameters != 23 || v.TrainedBy != "weekly-153019b1" || v.Bad != nil || v.Merged.IsZero() || len(v.Served) != 0 {
		t.Errorf("v10: %+v", v)
	}
	bad := m.History[1]
	if bad.Bad == nil || bad.Bad.Reason != "it crashes" || len(bad.Served) != 1 || bad.Served[0].Outcome != "RolledBack" || bad.Served[0].Until.IsZero() {
		t.Errorf("v3: %+v", bad)
	}
	if v := m.History[3]; len(v.Serves) != 2 || v.Commit != s.first {
		t.Errorf("v1: %+v", v)
	}
	if m.LineageOf != "v10" || m.Lineage.Node("run:iris/weekly-153019b1") == nil || m.Lineage.Node("version:iris@v2") == nil {
		t.Errorf("lineage of %s: %+v", m.LineageOf, m.Lineage)
	}
	if m, err = s.Model(t.Context(), fleet.Viewer{}, "models", "iris", "v3"); err != nil || m.LineageOf != "v3" {
		t.Errorf("lineage of v3: %+v, %v", m, err)
	}
	for _, none := range []string{"", "other", "../iris"} {
		if m, err := s.Model(t.Context(), fleet.Viewer{}, "models", none, ""); m != nil || err != nil {
			t.Errorf("model %q: %+v, %v", none, m, err)
		}
	}
}

func TestModels(t *testing.T) {
	s := newStory(t)
	s.write("teams/ads/team.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Team\nspec: {owners: [ads@example.com]}\n")
	s.write("teams/ads/models/ctr/model.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Model\nspec: {task: ranking, description: clicks, owners: [kim@example.com]}\n")
	s.commit("Ada", "a model of ads")
	s.read()
	for _, c := range []struct {
		q    fleet.ModelQuery
		want []string
	}{
		{fleet.ModelQuery{}, []string{"ctr", "iris"}}, {fleet.ModelQuery{Team: "ads"}, []string{"ctr"}}, {fleet.ModelQuery{Task: "ranking"}, []string{"ctr"}},
		{fleet.ModelQuery{Search: "KIM clicks"}, []string{"ctr"}}, {fleet.ModelQuery{Search: "v3"}, []string{"iris"}}, {fleet.ModelQuery{Search: "kim v3"}, nil},
		{fleet.ModelQuery{From: 1}, []string{"iris"}}, {fleet.ModelQuery{Limit: 1}, []string{"ctr"}}, {fleet.ModelQuery{From: 9}, nil},
	} {
		got, err := s.Models(t.Context(), fleet.Viewer{}, "models", c.q)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range got.Models {
			names = append(names, m.Model)
		}
		if !slices.Equal(names, c.want) || got.All != 2 || !slices.Equal(got.Teams, []string{"ads"}) {
			t.Errorf("%+v: %q of %d, want %q", c.q, names, got.All, c.want)
		}
	}
	got, err := s.Models(t.Context(), fleet.Viewer{}, "models", fleet.ModelQuery{Search: "iris"})
	if err != nil || len(got.Models[0].Serves) != 2 || got.Models[0].Newest != "v3" || got.Models[0].Merged.IsZero() {
		t.Errorf("iris: %+v, %v", got.Models, err)
	}
}
