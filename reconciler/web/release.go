package web

import (
	"errors"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// releaseView is one release.
func releaseView(f *fleet.Fleet) view {
	return view{
		Name: "release", Path: "/releases/{environment}/{release}", Title: "Release", data: &fleet.Release{},
		summary: "One release: what serves, what is on its way, what to do, its pods, objects, drift and history",
		load: func(q *request) (any, error) {
			return orNil(f.Release(q, q.viewer, q.registry, q.key())), nil
		},
	}
}

// diffView is two revisions of one release.
func diffView(f *fleet.Fleet) view {
	return view{
		Name: "diff", Path: "/releases/{environment}/{release}/diff", Title: "Diff", data: &fleet.Diff{},
		summary: "What differs between two revisions of a release: fields, objects, metrics and image layers",
		params: []param{
			{"from", "commit of a revision, or its first characters; the revision before when absent"},
			{"to", "commit of a revision, or its first characters; the newest when absent"},
			{"view", "lines: the objects line by line, too"},
		},
		load: func(q *request) (any, error) {
			d, err := f.Diff(q, q.viewer, q.registry, q.key(), q.query.Get("from"), q.query.Get("to"), q.query.Get("view") == "lines")
			if errors.Is(err, fleet.ErrNoRevision) {
				return nil, nil
			}
			return orNil(d), err
		},
	}
}
