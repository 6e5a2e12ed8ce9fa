package gate_test

import (
	"testing"
)

// TestDigestCovers edits what an approval is about, and what it is not.
func TestDigestCovers(t *testing.T) {
	edit := func(name, from, to string) func(*testing.T, tree) {
		return func(t *testing.T, w tree) { w.replace(t, name, from, to) }
	}
	add := func(name, text string) func(*testing.T, tree) {
		return func(_ *testing.T, w tree) { w.write(name, text) }
	}
	const v2, production, serving = "models/iris/versions/v2.yaml", "releases/iris/production.yaml", "releases/iris/serving.yaml"
	for name, c := range map[string]struct {
		edit    func(*testing.T, tree)
		covered bool
	}{
		"version":               {edit(production, "version: v2", "version: v1"), true},
		"weights":               {edit(v2, "2222", "2223"), true},
		"size":                  {edit(v2, "size: 3", "size: 4"), true},
		"a metric":              {edit(v2, "auc: 0.9", "auc: 0.91"), true},
		"lineage":               {edit(v2, "trainedBy: fit", "trainedBy: other"), true},
		"datasets":              {edit(v2, "lineage:", "datasets: [{name: d}], lineage:"), true},
		"an argument":           {edit(serving, "a: 1", "a: 3"), true},
		"runtime's version":     {edit(serving, "runtime: srv", "runtime: srv@1.0.0"), true},
		"here only":             {edit(production, "version: v2", "version: v2\n  replicas: 2"), true},
		"to 0":                  {edit(production, "version: v2", "version: v2\n  replicas: 0"), true},
		"defaults":              {edit("davit.yaml", "images:", "defaults: {env: {A: b}}, images:"), true},
		"a component's file":    {edit("releases/iris/patch.yaml", "b", "c"), true},
		"a new one":             {add("releases/iris/more.yaml", "x"), true},
		"this environment's":    {add("releases/iris/production/kustomization.yaml", "kind: Component\n"), true},
		"evidence":              {edit("models/iris/evidence/v2/bias.md", "none", "some"), true},
		"more evidence":         {add("models/iris/evidence/v2/load/run.csv", "1"), true},
		"comments":              {edit(serving, "spec:", "# written\nspec:"), false},
		"comments of a version": {edit(v2, "spec:", "# trained\nspec:"), false},
		"order of keys":         {edit(serving, "{b: 2, a: 1}", "{a: 1, b: 2}"), false},
		"nothing set":           {edit(serving, "args:", "env: {}, autoscale: null, gpus: 0, dependsOn: [], args:"), false},
		"the rule":              {edit(production, "from: staging", "from: staging, healthyFor: 24h"), false},
		"another source":        {edit(v2, "a.example", "b.example"), false},
		"the environment":       {edit("environments/production/environment.yaml", "spec: ", "spec: \n  bake: 3m"), false},
		"the runtime":           {edit("runtimes/srv/1.0.0/runtime.yaml", "8080", "8081"), false},
		"another environment":   {edit("releases/iris/staging.yaml", "v2", "v1"), false},
		"another's component":   {add("releases/iris/staging/kustomization.yaml", "kind: Component\n"), false},
		"another version's":     {add("models/iris/evidence/v1/bias.md", "x"), false},
		"another version":       {edit("models/iris/versions/v1.yaml", "auc: 0.9", "auc: 0.8"), false},
		"an approval":           {func(t *testing.T, w tree) { w.approve(t, "ada", "risk") }, false},
		"other work":            {add("models/rose/model.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Model\nspec: {owners: [x]}\n"), false},
	} {
		w := world(t, "", "")
		was := w.digest(t)
		c.edit(t, w)
		if changed := w.digest(t) != was; changed != c.covered {
			t.Errorf("%s: another digest %v, want %v", name, changed, c.covered)
		}
	}
}

// TestDigestStays holds a digest that people signed against this davit's.
func TestDigestStays(t *testing.T) {
	const want = "1bf3967fcc4efeaf326a9163787fcaf13e3df35438b2d9a4aaac9e64564f0c2b"
	if got := world(t, "", "").digest(t); got != want {
		t.Errorf("the digest is %s, and approvals are bound to %s: none counts any more", got, want)
	}
}
