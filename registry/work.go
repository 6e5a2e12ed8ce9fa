package registry

import (
	"maps"
	"slices"
	"strings"
)

// work is what is to be read of a tree.
type work struct {
	root                                                           bool
	environments, runtimes, accelerators, teams, models, trainings places
	// folders are the releases' folders, with the environments whose Releases are meant; nil means all.
	folders map[place]map[string]bool
}

func newWork() *work {
	return &work{environments: places{}, runtimes: places{}, accelerators: places{}, teams: places{}, models: places{}, trainings: places{}, folders: map[place]map[string]bool{}}
}

// places is a set.
type places map[place]bool

func (s places) add(p place) { s[p] = true }

// ordered makes reading, and which error comes first, the same each time.
func (s places) ordered() []place { return orderedPlaces(s) }

func orderedPlaces[V any](m map[place]V) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int { return strings.Compare(a.dir, b.dir) })
}

// release adds one environment's Release in a folder.
func (w *work) release(p place, env string) {
	only, there := w.folders[p]
	switch {
	case !there:
		w.folders[p] = map[string]bool{env: true}
	case only != nil:
		only[env] = true
	}
}

// known adds all that the registry has, which may be gone, to what a tree has.
func (r *Registry) known(w *work) *work {
	addKnown(w.environments, r.environments)
	addKnown(w.runtimes, r.runtimes)
	addKnown(w.accelerators, r.accelerators)
	addKnown(w.teams, r.teams)
	addKnown(w.models, r.models)
	for p := range w.models {
		w.trainings.add(trainingsOf(p))
	}
	for _, u := range r.folders {
		w.folders[u.place] = nil
	}
	return w
}

func addKnown[T any](list places, t table[T]) {
	for _, u := range t {
		list.add(u.place)
	}
}

// changes is what has to be read anew after some files changed. A file that nobody parses and no key covers
// (a README, a model's weights) is nothing, unless it is what makes its folder exist.
func (r *Registry) changes(changed []string) *work {
	w := newWork()
	for _, name := range changed {
		if p, rest, ok := teamOf(name); ok {
			if u := r.teams.at(p); u == nil || u.value == nil || rest == "" || is(rest, "team.yaml") {
				w.teams.add(p)
			}
		}
		switch k, p, rest := placeOf(name); k {
		case kindRoot:
			w.root = true
		case kindEnvironment:
			if u := r.environments.at(p); u == nil || u.value == nil || u.value.Component != "" || rest == "" || is(rest, "environment.yaml", "kustomization.yaml") {
				w.environments.add(p)
			}
		case kindRuntime:
			w.runtimes.add(p)
		case kindAccelerator:
			w.accelerators.add(p)
		case kindModel:
			if u := r.models.at(p); u == nil || u.value == nil || rest == "" || is(rest, "model.yaml", "versions", "bad") {
				w.models.add(p)
			}
			if rest == "" || is(rest, "training") {
				w.trainings.add(trainingsOf(p))
			}
		case kindRelease:
			r.releaseChanges(w, p, rest)
		}
	}
	return w
}

// is says whether a path is one of the files, or below one: a folder may have been in its place.
func is(rest string, files ...string) bool {
	first, _, _ := strings.Cut(rest, "/")
	return slices.Contains(files, first)
}

func (r *Registry) releaseChanges(w *work, p place, rest string) {
	first, _, below := strings.Cut(rest, "/")
	env := strings.TrimSuffix(first, ".yaml")
	_, known := slices.BinarySearch(r.tree.environments, env)
	u := r.folders.at(p)
	switch {
	case u == nil || u.value == nil || rest == "":
		w.folders[p] = nil
	case known && (below || env != first):
		w.release(p, env)
	case is(rest, "kustomization.yaml", "serving.yaml"), strings.HasSuffix(first, ".yaml"), strings.HasSuffix(first, ".yml"):
		w.folders[p] = nil
	case slices.ContainsFunc(u.value.entries, func(e *entry) bool { return e.release == nil || len(e.release.Components) > 0 }):
		w.folders[p] = nil // their Component may read any file
	}
}
