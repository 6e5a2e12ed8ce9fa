package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// next is what is said of a release, one line an environment: "to: version over before: problem, or gate state …".
func next(t *testing.T, v *View, release string) string {
	t.Helper()
	key, err := registry.ParseKey(release)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Next(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range list {
		text := n.Problem
		if text == "" {
			text = fmt.Sprintf("%s over %q;", n.Version.Name, n.Before)
			for _, g := range n.Gates {
				text += fmt.Sprintf(" %s %s", g.Gate, g.State)
			}
		}
		out = append(out, n.To.Environment+": "+text)
	}
	return strings.Join(out, "\n")
}

func TestNext(t *testing.T) {
	const healthy = `{"release":"staging/iris","version":"v2","outcome":"Healthy","at":"2026-01-02T03:04:05Z"}`
	dev := files{"environments/dev/environment.yaml": iris()["environments/staging/environment.yaml"]}
	staging := func(version string) files { return files{"releases/iris/staging.yaml": at(version)} }
	for name, c := range map[string]struct {
		tree          files
		release, want string
		note          string
	}{
		"nothing newer":         {iris(), "staging/iris", "", ""},
		"one that nobody tells": {iris().with(staging("v2")), "staging/iris", `production: v2 over "v1"; metrics/accuracy passed healthyIn/staging unknown`, ""},
		"a worse one":           {iris().with(staging("v3")), "staging/iris", `production: v3 over "v1"; metrics/accuracy failed healthyIn/staging unknown`, ""},
		"an older one":          {iris().with(staging("v2")).with(files{"releases/iris/production.yaml": at("v3")}), "staging/iris", "", ""},
		"not against the stream": {
			iris().with(staging("v2")), "production/iris", "", "",
		},
		"not against the stream, over two": {
			iris().with(staging("v2")).with(dev).with(files{
				"releases/iris/dev.yaml":     at("v3"),
				"releases/iris/staging.yaml": spec("Release", "{version: v2, promote: {from: dev}}"),
			}), "production/iris", "", "",
		},
		"the first there": {
			iris().with(dev).with(staging("v2")), "staging/iris",
			"dev: v2 over \"\";\nproduction: v2 over \"v1\"; metrics/accuracy passed healthyIn/staging unknown", "",
		},
		"one marked bad": {
			iris().with(staging("v2")).with(files{"models/iris/bad/v2.yaml": spec("BadVersion", "{reason: it lies}")}), "staging/iris",
			"production: version v2 is marked bad (models/iris/bad/v2.yaml): it lies; choose another with --version, or remove that file", "",
		},
		"there is a fault": {
			iris().with(staging("v2")).with(files{"releases/iris/production.yaml": at("v9")}), "staging/iris",
			`production: production/iris has a fault, which is to be mended first: `, "",
		},
		"healthy by its outcomes": {iris().with(staging("v2")), "staging/iris", `production: v2 over "v1"; metrics/accuracy passed healthyIn/staging passed`, healthy},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			commit := r.commit("a registry", c.tree)
			if c.note != "" {
				r.git("notes", "--ref=davit", "append", "-m", c.note, commit)
			}
			got := next(t, r.view(Config{}), c.release)
			if got != c.want && (!strings.HasSuffix(c.want, ": ") || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestNextByFacts: who knows the cluster tells more than Git does.
func TestNextByFacts(t *testing.T) {
	r := newRepo(t)
	r.commit("a registry", iris().with(files{"releases/iris/staging.yaml": at("v2")}))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	v := r.view(Config{Facts: func(r *registry.Release) gate.Facts {
		if r.Key().String() != "production/iris" || r.ModelVersion.Name != "v2" {
			t.Errorf("asked of %s at %s", r.Key(), r.ModelVersion)
		}
		return gate.Facts{Now: now, HealthyIn: func(string) (time.Time, bool) { return now.Add(-time.Minute), true }}
	}})
	list, err := v.Next(t.Context(), registry.Key{Environment: "staging", Name: "iris"})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	closed := list[0].Closed()
	if len(closed) != 1 || closed[0].State != gate.Waiting || !closed[0].Until.Equal(now.Add(59*time.Minute)) {
		t.Errorf("%+v", closed)
	}
	if want := "davit promote staging/iris production"; list[0].Command() != want {
		t.Errorf("%q, want %q", list[0].Command(), want)
	}
}
