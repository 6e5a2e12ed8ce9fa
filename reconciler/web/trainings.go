package web

import (
	"github.com/davit-dev/davit/reconciler/fleet"
)

func trainingsView(f *fleet.Fleet) view {
	return view{
		Name: "trainings", Path: "/trainings", Title: "Trainings", summary: "Trainings with their runs, those with the newest runs first", data: &fleet.Trainings{},
		params: []param{
			{"training", "MODEL/NAME of one training, whose runs are all told then"}, {"environment", "name of an environment"}, {"model", "name of a model"},
			{"state", "attention, broken, stopped, manual, moving or healthy"}, {"from", "how many trainings to leave out"},
			{"limit", "how many trainings to tell: 50 when absent, 1000 at most"},
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
			return orNil(f.Trainings(q.Context, q.viewer, q.registry, fleet.TrainingQuery{
				Training: q.query.Get("training"), Environment: q.query.Get("environment"), Model: q.query.Get("model"), State: q.query.Get("state"), From: from, Limit: limit,
			})), nil
		},
	}
}

func runView(f *fleet.Fleet) view {
	return view{
		Name: "run", under: "trainings", Path: "/trainings/{model}/{training}/{run}", Title: "Run", summary: "One run of a training: its spec, inputs, pods and the last lines of its log", data: &fleet.RunPage{},
		load: func(q *request) (any, error) {
			training := q.PathValue("model") + "/" + q.PathValue("training")
			return orNil(f.RunPage(q.Context, q.viewer, q.registry, training, q.PathValue("run"), !q.refreshes())), nil
		},
	}
}

func gpusView(f *fleet.Fleet) view {
	return view{
		Name: "gpus", Path: "/gpus", Title: "GPUs", summary: "What clusters have, who asks for it by environment and team, and who waits", data: &fleet.GPUs{},
		load: func(q *request) (any, error) { return orNil(f.GPUs(q.Context, q.viewer, q.registry)), nil },
	}
}

// refreshes says that a page asks for itself once more, which has its log already.
func (q *request) refreshes() bool { return q.Header.Get("Davit-Refresh") != "" }
