package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// maxRemoved is how many versions go with a new one at most, the oldest first: people are to be able to read what goes.
const maxRemoved = 20

// madeOf is what a run made, and what the commit that proposes it changes: the new version's file, and those that its
// training keeps no more.
func (r *Reconciler) madeOf(ctx context.Context, x *running, want *desired, version string, result image.RunResult) (m made.Made, files []gitops.FileChange, err error) {
	m = made.Made{Training: x.training, Run: x.Run, Result: result, Version: version, Sweep: x.sweep}
	file, text, err := m.File()
	if err != nil {
		return m, nil, err
	}
	files = []gitops.FileChange{{Path: file, Content: text}}
	if t := want.models.Trainings[x.Training]; t != nil && t.Spec.Keep > 0 {
		m.Keep = t.Spec.Keep
		if m.Removed, err = r.notKept(ctx, x, want, t); err != nil {
			return m, nil, err
		}
	}
	for _, v := range m.Removed {
		files = append(files, gitops.FileChange{Path: v.Path, Delete: true})
	}
	return m, files, nil
}

// notKept are the versions that a training made beyond those that it keeps beside a run's, the newest first, but for those
// that something refers to. What is there with a fault may refer to any of them: then all stay.
func (r *Reconciler) notKept(ctx context.Context, x *running, want *desired, t *registry.Training) (removed []made.Removed, err error) {
	model := want.models.Models[t.Model]
	if model == nil || len(want.models.Broken)+len(want.models.BrokenTrainings) > 0 {
		return nil, nil
	}
	ledger, err := r.runs.Runs(ctx)
	if err != nil {
		return nil, err
	}
	runs := map[string]gitops.Run{}
	for _, run := range ledger {
		if run.Training == t.Key() && run.Name != x.Name {
			runs[run.Name] = run
		}
	}
	for name, v := range model.Versions {
		if run, own := runs[v.Spec.Lineage.TrainedBy]; own {
			removed = append(removed, made.Removed{Version: name, Path: v.Path, Run: run.Name, Ended: run.Ended})
		}
	}
	slices.SortFunc(removed, func(a, b made.Removed) int {
		return cmp.Or(b.Ended.Compare(a.Ended), natural(b.Version, a.Version), strings.Compare(b.Run, a.Run))
	})
	removed = removed[min(t.Spec.Keep-1, len(removed)):]
	inUse, err := r.versionsInUse(want, model)
	removed = slices.DeleteFunc(removed, func(v made.Removed) bool { return inUse[v.Version] || model.Versions[v.Version].Bad != nil })
	return removed[max(0, len(removed)-maxRemoved):], err
}

// versionsInUse are the versions of a model that something refers to: a release, what it is healthy with, or its open
// promotion; what a training begins from; an approval; evidence.
func (r *Reconciler) versionsInUse(want *desired, model *registry.Model) (map[string]bool, error) {
	used, of := map[string]bool{}, map[registry.Key]string{}
	for _, release := range want.models.Releases {
		key := release.Key()
		if of[key] = release.Model.Name; release.Model.Name != model.Name {
			continue
		}
		used[release.ModelVersion.Name] = true
		if open := r.errands.promotion(key); open != nil {
			used[open.version] = true
		}
		if st := r.seenHere(key); st != nil {
			used[st.version] = true
			if st.proposed != nil && !st.proposed.Declined {
				used[st.proposed.Version] = true
			}
		}
		if s := r.peek(key); s != nil && s.shown.Load() != nil {
			used[s.shown.Load().healthy.Version] = true
		}
	}
	for _, t := range want.models.Trainings {
		if t.BaseVersion != nil && t.BaseVersion.Model == model.Name {
			used[t.BaseVersion.Name] = true
		}
	}
	approved, err := fs.Glob(want.snapshot, "approvals/*/*/*")
	for _, name := range approved {
		key := registry.Key{Environment: path.Base(path.Dir(path.Dir(name))), Name: path.Base(path.Dir(name))}
		if other, known := of[key]; !known || other == model.Name {
			used[path.Base(name)] = true
		}
	}
	shown, also := fs.Glob(want.snapshot, path.Join(path.Dir(model.Path), "evidence")+"/*")
	for _, name := range shown {
		used[path.Base(name)] = true
	}
	if err = errors.Join(err, also); err != nil {
		return nil, fmt.Errorf("looking for what refers to versions of %s: %w", model.Name, err)
	}
	return used, nil
}
