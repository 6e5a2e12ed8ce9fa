package web

import (
	"cmp"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// view is one thing to look at: a page, and what it shows as JSON.
type view struct {
	// Name is that of its template, and of its operation in the API.
	Name string
	// Path is its place below the registry's, Title what the browser's tab says.
	Path, Title string
	// under names the view that this one is reached from; "" for one that is reached from everywhere.
	under string
	// summary says in the API's description what it is; params are its parameters.
	summary string
	params  []param
	// load gives the data; nil when there is no such thing, or not for this user.
	load func(*request) (any, error)
	// data is the zero value of what load gives.
	data any
}

// param is one of a query.
type param struct{ name, text string }

// api is the place of the view's data below the registry's in the API.
func (v view) api() string { return cmp.Or(v.Path, "/releases") }

// views is the table of all there is to see.
func views(f *fleet.Fleet) []view {
	return []view{
		{
			Name: "fleet", Path: "", Title: "Fleet", summary: "Releases by environments, those that need a person first", data: &fleet.Releases{},
			params: []param{
				{"q", "words that name, model, team, version, author or commit all contain"}, {"environment", "name of an environment"},
				{"team", "name of a team"}, {"model", "name of a model"}, {"state", "attention, broken, stopped, manual, moving or healthy"},
				{"from", "how many lines to leave out"}, {"limit", "how many lines to tell: 100 when absent, 1000 at most"},
			},
			load: func(q *request) (any, error) { return fleetView(f, q) },
		},
		releaseView(f),
		diffView(f),
		timelineView(f),
		modelsView(f),
		modelView(f),
		trainingsView(f),
		runView(f),
		gpusView(f),
	}
}

func fleetView(f *fleet.Fleet, q *request) (any, error) {
	from, err := q.number("from")
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	return orNil(f.Releases(q.viewer, q.registry, fleet.Query{
		Search: q.query.Get("q"), Environment: q.query.Get("environment"), Team: q.query.Get("team"), Model: q.query.Get("model"),
		State: q.query.Get("state"), From: from, Limit: limit,
	})), nil
}

// orNil is a nil any for a nil pointer.
func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}
