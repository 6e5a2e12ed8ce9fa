package registry

import (
	"fmt"
	"path"
	"slices"
)

// shelf is what a model's folder training holds.
type shelf struct {
	entries []*trainingEntry // one per file, by name
}

// trainingEntry is one Training file, resolved against the files it names.
type trainingEntry struct {
	key      string
	path     string
	training *Training
	faults   []Fault // a nil training without any stands on a file with a fault, which is told there
	// What it names elsewhere, its own model aside: when that changes, it is resolved anew.
	environment, accelerator, base string
	hinted                         bool // a fault lists what there is to name
}

// broken is why nobody can run it.
func (e *trainingEntry) broken() []Fault {
	if len(e.faults) == 0 {
		return []Fault{{e.path, 1, "a file this training needs has a fault"}}
	}
	return e.faults
}

// trainingsOf is the place of a model's trainings; its name is the model's.
func trainingsOf(model place) place {
	return place{team: model.team, name: model.name, dir: path.Join(model.dir, "training")}
}

// shelf reads a model's trainings against the shared units of n.
func (rd *reader) shelf(n *Registry, p place) *unit[shelf] {
	files := rd.list(p.dir)
	if files == nil || !rd.isDir(p.dir) {
		return nil
	}
	u := &unit[shelf]{place: p, value: &shelf{}}
	u.report(misnamed(p.dir, files, func(string) bool { return true })...)
	names, locks := splitLocks(files.stems(".yaml"))
	u.report(lonelyLocks(p.dir, locks, names)...)
	for _, name := range names {
		e := rd.training(n, p, name)
		u.report(e.faults...)
		u.value.entries = append(u.value.entries, e)
	}
	for _, folder := range files.folders() {
		if dir := path.Join(p.dir, folder); !slices.Contains(names, folder) && rd.list(dir).has("kustomization.yaml") {
			u.report(Fault{path.Join(dir, "kustomization.yaml"), 1, fmt.Sprintf("there is no training %q for this Component%s", folder, closest(folder, names))})
		}
	}
	return u
}

func (rd *reader) training(n *Registry, p place, name string) *trainingEntry {
	t := &Training{Model: rd.word(p.name), Name: rd.word(name), Team: rd.word(p.team), Path: path.Join(p.dir, name+".yaml"), Dir: path.Join(p.dir, name)}
	e := &trainingEntry{key: t.Key(), path: t.Path}
	doc, faults := rd.file(t.Path, "Training", name, &t.Spec)
	if e.faults = append(faults, badName(t.Path, "training", name, trainingName)...); doc == nil {
		return e
	}
	c := &trainingCheck{n: n, entry: e, faultsOf: faultsOf{doc: doc}}
	c.spec(t)
	c.resolve(t)
	e.faults = append(append(e.faults, c.faults...), rd.lock(t)...)
	if rd.list(t.Dir).has("kustomization.yaml") {
		t.Component = t.Dir
	}
	if !c.bad && len(e.faults) == 0 {
		e.training = t
	}
	return e
}

// staleTrainings adds to the work the trainings that use what was read anew.
func (u *update) staleTrainings(w *work) {
	if len(u.trainings) == 0 {
		return
	}
	all := u.tree != u.old.tree // davit.yaml or the set of environments
	environments, accelerators, models := nameSet(w.environments), nameSet(w.accelerators), nameSet(w.models)
	listed := !sameSet(u.old.models, u.models, w.models) || !sameSet(u.old.accelerators, u.accelerators, w.accelerators)
	for _, s := range u.trainings {
		if all || models[s.name] || slices.ContainsFunc(s.value.entries, func(e *trainingEntry) bool {
			return environments[e.environment] || accelerators[e.accelerator] || models[e.base] || listed && e.hinted
		}) {
			w.trainings.add(s.place)
		}
	}
}

// readTrainings reads the trainings of the work, and says which are sound.
func (u *update) readTrainings(w *work) error {
	before := u.trainings
	err := replace(u, &u.trainings, w.trainings.ordered(), func(rd *reader, p place) *unit[shelf] { return rd.shelf(u.Registry, p) })
	if err != nil {
		return err
	}
	sound, broken := edited[string, *Training]{m: u.Trainings}, edited[string, []Fault]{m: u.BrokenTrainings}
	if u.Trainings == nil {
		sound.own()
		broken.own()
	}
	for model := range nameSet(w.trainings) {
		for _, s := range before.named(model) {
			for _, e := range s.value.entries {
				sound.remove(e.key)
				broken.remove(e.key)
			}
		}
		for _, s := range u.trainings.named(model) {
			for _, e := range s.value.entries {
				if e.training != nil {
					sound.set(e.key, e.training)
				} else {
					broken.set(e.key, slices.Concat(broken.m[e.key], e.broken()))
				}
			}
		}
	}
	u.Trainings, u.BrokenTrainings = sound.m, broken.m
	return nil
}
