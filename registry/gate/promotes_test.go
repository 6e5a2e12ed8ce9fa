package gate_test

import (
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

func TestPromotions(t *testing.T) {
	load := func(w tree) *registry.Registry {
		reg, err := registry.Load(fstest.MapFS(w))
		if err != nil {
			t.Fatal(err)
		}
		return reg
	}
	const v2 = "models/iris/versions/v2.yaml"
	for name, c := range map[string]struct {
		edit func(tree)
		want []string
	}{
		"nothing":     {func(tree) {}, nil},
		"the version": {func(w tree) { w.replace(t, "releases/iris/production.yaml", "v2", "v1") }, []string{"production/iris"}},
		"a new release": {func(w tree) {
			w["releases/rose/serving.yaml"], w["releases/rose/staging.yaml"] = w["releases/iris/serving.yaml"], w["releases/iris/staging.yaml"]
		}, []string{"staging/rose"}},
		"weights":             {func(w tree) { w.replace(t, v2, "2222", "3333") }, []string{"production/iris", "staging/iris"}},
		"source":              {func(w tree) { w.replace(t, v2, "a.example", "b.example") }, nil},
		"serving":             {func(w tree) { w.replace(t, "releases/iris/serving.yaml", "a: 1", "a: 2") }, nil},
		"one that is no more": {func(w tree) { delete(w, "releases/iris/staging.yaml") }, nil},
	} {
		w := world(t, "", "")
		before := load(w.clone())
		c.edit(w)
		var got []string
		for _, r := range gate.Promotions(before, load(w)) {
			got = append(got, r.Key().String())
		}
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
