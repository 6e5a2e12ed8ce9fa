package fleet

import (
	"context"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// madeByRuns says that runs made some of a registry's versions.
func madeByRuns(models *registry.Registry) bool {
	for _, m := range models.Models {
		for _, v := range m.Versions {
			if v.Spec.Lineage.TrainedBy != "" {
				return true
			}
		}
	}
	return false
}

// ledger are the runs of environments that a viewer may see, by their hashes. What is not the viewer's to read in a log is not in
// them. The ledger is asked where a run made something.
func (l *look) ledger(ctx context.Context, v Viewer, now time.Time) (out map[string]gitops.Run, notes []string) {
	if !madeByRuns(l.models) {
		return nil, nil
	}
	known, notes := l.followed.runs.read(ctx, l, now)
	seen, logs := v.in(l.name), Viewer{May: v.Logs}.in(l.name)
	out = make(map[string]gitops.Run, len(known.Ledger))
	for hash, run := range known.Ledger {
		if !seen(run.Environment) {
			continue
		}
		if run.Message = plain(run.Message); !logs(run.Environment) {
			run.Message = "" // it may be what a container wrote last
		}
		out[hash] = run
	}
	return out, notes
}

// then is what a model's trainings were at a commit; nil where that is not here.
func (l *look) then(ctx context.Context) func(commit, model string) *registry.Registry {
	return func(commit, model string) *registry.Registry {
		hash := gitops.ParseHash(commit)
		if !l.Source().Has(hash) {
			return nil
		}
		snapshot, err := l.Source().Snapshot(ctx, hash)
		if err != nil {
			return nil
		}
		models, err := registry.Load(ofModel{snapshot, model})
		if err != nil {
			return nil
		}
		return models
	}
}
