package fleet

import (
	"slices"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func cell(environment, version string, applied int, state State) *Cell {
	return &Cell{
		Row: Row{
			Environment: environment, Release: "iris", Model: "iris", Version: version, Commit: version + environment,
			Since: time.Unix(int64(applied), 0), key: registry.Key{Environment: environment, Name: "iris"},
		},
		State: state,
	}
}

// TestOffers: what can be promoted is what a rule's environment has, or, without a rule, what another environment got later;
// never what is held here, what is asked for already, or what is not well there.
func TestOffers(t *testing.T) {
	for what, c := range map[string]struct {
		from, to *Cell
		edit     func(from, to *Cell)
		want     string
		back     string // what is offered the other way
	}{
		"newer, without a rule":     {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Well), nil, "v2", ""},
		"older, without a rule":     {cell("staging", "v0", 1, Well), cell("production", "v1", 2, Well), nil, "", "v1"},
		"older, and applied later":  {cell("staging", "v1", 2, Well), cell("production", "v2", 1, Well), nil, "", ""},
		"older by name, by a rule":  {cell("staging", "v9", 2, Well), cell("production", "v10", 1, Well), func(_, to *Cell) { to.rule = "staging" }, "", ""},
		"older than what is asked":  {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Moving), func(_, to *Cell) { to.Wanted = "v3" }, "", ""},
		"older than what is held":   {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Stopped), func(_, to *Cell) { to.Wanted, to.Held = "v3", "v3" }, "v2", ""},
		"older, by a rule":          {cell("staging", "v2", 1, Well), cell("production", "v1", 2, Well), func(_, to *Cell) { to.rule = "staging" }, "v2", ""},
		"another environment's":     {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Well), func(_, to *Cell) { to.rule = "canary" }, "", ""},
		"not well there":            {cell("staging", "v2", 2, Moving), cell("production", "v1", 1, Well), nil, "", ""},
		"held here":                 {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Stopped), func(_, to *Cell) { to.Held = "v2" }, "", ""},
		"asked for already":         {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Moving), func(_, to *Cell) { to.Wanted = "v2" }, "", ""},
		"brought by one commit":     {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Well), func(from, to *Cell) { from.Commit = to.Commit }, "", ""},
		"another model's":           {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Well), func(from, _ *Cell) { from.Model = "other" }, "", ""},
		"the files here are broken": {cell("staging", "v2", 2, Well), cell("production", "v1", 1, Stopped), func(_, to *Cell) { to.Fault = "a fault" }, "", ""},
	} {
		if c.edit != nil {
			c.edit(c.from, c.to)
		}
		line := &Line{Cells: []*Cell{c.from, nil, c.to}}
		line.offers()
		if c.to.Offers != c.want || c.want != "" && c.to.From != "staging" || c.from.Offers != c.back {
			t.Errorf("%s: offers %q from %q, and the other way %q", what, c.to.Offers, c.to.From, c.from.Offers)
		}
	}
}

// TestStates: how a release is summed up.
func TestStates(t *testing.T) {
	for what, c := range map[string]struct {
		edit func(*Cell)
		want State
	}{
		"well":                        {func(*Cell) {}, Well},
		"on its way":                  {func(c *Cell) { c.Phase = v1alpha1.Progressing }, Moving},
		"not there yet":               {func(c *Cell) { c.Phase, c.Version = "", "" }, Moving},
		"waiting":                     {func(c *Cell) { c.Phase = v1alpha1.Waiting }, Moving},
		"rolled back":                 {func(c *Cell) { c.Phase, c.Held = v1alpha1.RolledBack, "v3" }, Stopped},
		"well, and a version is held": {func(c *Cell) { c.Held = "v3" }, Stopped},
		"failed, healthy before":      {func(c *Cell) { c.Phase, c.served = v1alpha1.Failed, true }, Stopped},
		"failed, never healthy":       {func(c *Cell) { c.Phase = v1alpha1.Failed }, Broken},
		"a fault, serving":            {func(c *Cell) { c.Fault = "x" }, Stopped},
		"a fault, never there":        {func(c *Cell) { c.Fault, c.Version, c.Phase = "x", "", "" }, Broken},
		"pinned":                      {func(c *Cell) { c.Pinned = true }, Manual},
		"suspended":                   {func(c *Cell) { c.Suspended = true }, Manual},
		"drifted":                     {func(c *Cell) { c.Drifted = true }, Manual},
	} {
		row := &Cell{Row: Row{Version: "v1", Phase: v1alpha1.Healthy}}
		c.edit(row)
		if got := row.stands(); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	if !Attention.Has(Stopped) || Attention.Has(Well) || !Well.Has(Well) || Well.Has(Broken) {
		t.Error("attention is not what needs a person")
	}
}

// TestNaturally: versions are in the order of their numbers.
func TestNaturally(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"v9", "v10"}, {"v1", "v1a"}, {"2026-01-02", "2026-01-10"}, {"a1", "b0"}, {"v1.9", "v1.10"}, {"", "v1"}} {
		if naturally(c.a, c.b) >= 0 || naturally(c.b, c.a) <= 0 || naturally(c.a, c.a) != 0 {
			t.Errorf("%q does not come before %q", c.a, c.b)
		}
	}
}

// TestQuerySelects: each word of a search is somewhere in what a release is known by.
func TestQuerySelects(t *testing.T) {
	c := cell("production", "v2", 1, Well)
	c.Author, c.Team = "Ada Lovelace", "flowers"
	for text, want := range map[string]bool{"": true, "iris": true, "IRIS ada": true, "iris bob": false, "v2 flowers": true, "v3": false} {
		q := Query{Search: text}
		if got := q.selects(c, words(text)); got != want {
			t.Errorf("%q selects it: %v", text, got)
		}
	}
	if (Query{State: "attention"}).selects(c, nil) || !(Query{State: "healthy", Team: "flowers", Model: "iris"}).selects(c, nil) || (Query{Team: "x"}).selects(c, nil) {
		t.Error("states, teams or models are not heeded")
	}
}

// TestShift: while traffic goes over, what is healthy serves, and what is applied is on its way.
func TestShift(t *testing.T) {
	applied := v1alpha1.Revision{Commit: "b", Version: "v2"}
	healthy := v1alpha1.Revision{Commit: "a", Version: "v1"}
	mr := &v1alpha1.ModelRelease{}
	mr.Status.Applied, mr.Status.Healthy, mr.Status.Phase = applied, healthy, v1alpha1.Progressing
	mr.Status.Traffic = &v1alpha1.Traffic{Serving: "x", Next: "y", Weight: 25}
	if r := newRow(mr); r.Version != "v1" || r.Commit != "a" || r.Next != "v2" || r.Weight != 25 || r.Healthy != "" {
		t.Errorf("a canary: %+v", r)
	}
	mr.Status.Healthy = v1alpha1.Revision{}
	if r := newRow(mr); r.Version != "v2" || r.Next != "" {
		t.Errorf("the first: %+v", r)
	}
	mr.Status.Healthy = applied
	mr.Status.Traffic = &v1alpha1.Traffic{Serving: "y", Kept: "x"}
	if r := newRow(mr); r.Version != "v2" || r.Commit != "b" || r.Next != "" || r.Weight != 0 {
		t.Errorf("it is over: %+v", r)
	}
}

// TestBegun: what was begun has no reason yet; the one that stands there is of what was before.
func TestBegun(t *testing.T) {
	mr := &v1alpha1.ModelRelease{}
	mr.Status.Phase, mr.Status.Reason, mr.Status.Applied = v1alpha1.Healthy, "Healthy", v1alpha1.Revision{Commit: "a", Version: "v1"}
	if r := newRow(mr); r.Phase != v1alpha1.Healthy || r.Reason != "Healthy" {
		t.Errorf("it is well: %+v", r)
	}
	mr.Spec.Claim.Token, mr.Spec.Claim.Version = 2, "v2"
	if r := newRow(mr); !mr.Pending() || r.Phase != v1alpha1.Progressing || r.Reason != "" || r.Next != "v2" {
		t.Errorf("another was begun: %+v", r)
	}
}

// TestWaitsForGPUs: who waits for anything else, or has none, does not wait for GPUs.
func TestWaitsForGPUs(t *testing.T) {
	for reason, want := range map[string]bool{"Unschedulable": true, "QuotaExceeded": true, "NoGateway": false, "ImagePullBackOff": false, "": false} {
		c := &Cell{Row: Row{Phase: v1alpha1.Waiting, Reason: reason}}
		if c.waitsForGPUs(2) != want || c.waitsForGPUs(0) {
			t.Errorf("%q waits for GPUs: %v", reason, !want)
		}
	}
}

// TestBack: one goes back to what was well first, and never to what is newer.
func TestBack(t *testing.T) {
	model := &registry.Model{Name: "iris", Versions: map[string]*registry.ModelVersion{}}
	for _, name := range []string{"v1", "v2", "v3", "v10", "v11", "blue"} {
		model.Versions[name] = &registry.ModelVersion{Name: name}
	}
	release := &registry.Release{Name: "iris", Environment: &registry.Environment{Name: "production"}, Model: model, ModelVersion: model.Versions["v10"]}
	l := &look{models: &registry.Registry{Releases: []*registry.Release{release}}}
	got := l.others(release.Key(), &Cell{Row: Row{Version: "v2", Held: "v3"}})
	if want := []string{"v2", "v1", "blue"}; !slices.Equal(got, want) {
		t.Errorf("the ways back are to %v, not %v", got, want)
	}
}
