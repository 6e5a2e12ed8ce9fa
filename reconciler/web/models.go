package web

import (
	"html/template"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/lineage"
)

func modelsView(f *fleet.Fleet) view {
	return view{
		Name: "models", Path: "/models", Title: "Models", summary: "Models with their newest versions, and where they serve", data: &fleet.Models{},
		params: []param{
			{"q", "words that name, description, task, team, owners and versions together contain all of"}, {"team", "name of a team"}, {"task", "what the model does"},
			{"from", "how many models to leave out"}, {"limit", "how many models to tell: 100 when absent, 1000 at most"},
		},
		load: func(q *request) (any, error) {
			from, err := q.number("from")
			if err != nil {
				return nil, err
			}
			limit, err := q.number("limit")
			if err != nil {
				return nil, err
			}
			data, err := f.Models(q.Context, q.viewer, q.registry, fleet.ModelQuery{
				Search: q.query.Get("q"), Team: q.query.Get("team"), Task: q.query.Get("task"), From: from, Limit: limit,
			})
			return orNil(data), err
		},
	}
}

func modelView(f *fleet.Fleet) view {
	return view{
		Name: "model", Path: "/models/{model}", Title: "Model", summary: "One model: its versions, their metrics, where each serves and served, its lineage and its card",
		data: &fleet.Model{},
		params: []param{
			{"version", "the one whose lineage is told; the newest when absent"}, {"metric", "one that the page plots; may come again"},
		},
		load: func(q *request) (any, error) {
			data, err := f.Model(q.Context, q.viewer, q.registry, q.PathValue("model"), q.query.Get("version"))
			return orNil(data), err
		},
	}
}

// lineageDrawing is a graph as a part of a page. What it is made of is escaped where it is written.
func lineageDrawing(registry string, g *lineage.Graph) template.HTML {
	return template.HTML(g.Inline(func(n lineage.Node) string { // #nosec G203 -- see Inline
		switch n.Kind {
		case lineage.KindVersion:
			if model, version, ok := strings.Cut(n.Name, "@"); ok && !n.Missing {
				return path(registry, "models", model) + "?version=" + template.URLQueryEscaper(version) + "#lineage"
			}
		case lineage.KindRelease:
			if environment, release, ok := strings.Cut(n.Name, "/"); ok {
				return path(registry, "releases", environment, release)
			}
		case lineage.KindTraining:
			return path(registry, "trainings") + "?training=" + template.URLQueryEscaper(n.Name)
		case lineage.KindRun:
			return runLink(registry, g, n)
		}
		return ""
	}))
}

// runLink is the page of a run in a graph: all trainings where the ledger, which alone has states, does not tell of it.
func runLink(registry string, g *lineage.Graph, run lineage.Node) string {
	known := slices.ContainsFunc(run.Facts, func(f lineage.Fact) bool { return f.Name == "state" })
	for _, e := range g.Edges {
		if spec := g.Node(e.From); known && e.Kind == lineage.EdgeSpec && e.To == run.ID {
			model, training, _ := strings.Cut(spec.Name, "/")
			return path(registry, "trainings", model, training, strings.TrimPrefix(run.Name, model+"/"))
		}
	}
	return path(registry, "trainings")
}
