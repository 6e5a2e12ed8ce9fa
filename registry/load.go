package registry

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// ErrNoRegistry says that a tree holds no davit.yaml.
var ErrNoRegistry = errors.New("no davit.yaml at the root; run davit init, or pass -C DIR")

// Load reads a registry from the root of fsys. A fault in one file costs the releases that need that
// file and no other; faults are in the result. The error is for a tree that is no registry at all, or
// that can't be read. fsys must be safe for concurrent use, as [os.DirFS] and git snapshots are: units are
// read on up to GOMAXPROCS goroutines.
func Load(fsys fs.FS) (*Registry, error) {
	w, err := everything(fsys)
	if err != nil {
		return nil, err
	}
	return new(Registry).update(fsys, w)
}

// everything lists all places of a tree.
func everything(fsys fs.FS) (*work, error) {
	rd := &reader{fsys: fsys}
	w := newWork()
	w.root = true
	for _, name := range rd.list("environments").folders() {
		w.environments.add(place{name: name, dir: path.Join("environments", name)})
	}
	for _, name := range rd.list("runtimes").folders() {
		for _, version := range rd.list(path.Join("runtimes", name)).folders() {
			w.runtimes.add(place{name: name + "@" + version, dir: path.Join("runtimes", name, version)})
		}
	}
	for _, name := range rd.list("accelerators").folders() {
		w.accelerators.add(place{name: name, dir: path.Join("accelerators", name)})
	}
	for _, team := range append([]string{""}, rd.list("teams").folders()...) {
		if team != "" {
			w.teams.add(teamPlace(team))
		}
		for _, name := range rd.list(inTeam(team, "models", "").dir).folders() {
			p := inTeam(team, "models", name)
			w.models.add(p)
			w.trainings.add(trainingsOf(p))
		}
		for _, name := range rd.list(inTeam(team, "releases", "").dir).folders() {
			w.folders[inTeam(team, "releases", name)] = nil
		}
	}
	return w, rd.err
}

// LoadRelease reads one release and what it stands on, of a registry of any size: Release(key) and
// Broken[key] of the result are those of Load. The result holds no other release, and of models, runtimes,
// accelerators only those the release names, and no trainings.
func LoadRelease(fsys fs.FS, key Key) (*Registry, error) {
	rd := &reader{fsys: fsys}
	teams := append([]string{""}, rd.list("teams").folders()...)
	w := newWork()
	w.root = true
	for _, name := range rd.list("environments").folders() {
		w.environments.add(place{name: name, dir: path.Join("environments", name)})
	}
	everywhere := func(folder, name string, add func(place)) {
		if name == "" || path.Base(name) != name || hidden(name) {
			return
		}
		for _, team := range teams {
			if p := inTeam(team, folder, name); rd.isDir(p.dir) {
				add(p)
			}
		}
	}
	everywhere("releases", key.Name, func(p place) { w.folders[p] = nil })
	// First the names the release knows others by; dependencies lead to more of them.
	u := newUpdate(fsys, new(Registry))
	u.hints = newHints(nil)
	if err := u.shared(w); err != nil {
		return nil, err
	}
	w.root, w.environments = false, places{}
	seen := map[string]bool{key.Name: true}
	for todo := orderedPlaces(w.folders); len(todo) > 0; {
		next := newWork()
		for _, p := range todo {
			next.folders[p] = nil
		}
		if err := u.releases(next); err != nil {
			return nil, err
		}
		todo = nil
		for _, p := range orderedPlaces(next.folders) {
			for _, e := range entriesOf(u.folders.at(p)) {
				if e.key.Environment != key.Environment {
					continue
				}
				if e.key == key {
					everywhere("models", e.names.model, w.models.add)
					w.named(e.names)
				}
				for _, d := range e.depends {
					if !seen[d.name] {
						seen[d.name] = true
						everywhere("releases", d.name, func(p place) { todo = append(todo, p) })
					}
				}
			}
		}
	}
	if rd.err != nil {
		return nil, rd.err
	}
	u.hints = newHints(fsys)
	if err := u.shared(w); err != nil {
		return nil, err
	}
	for p := range w.folders {
		w.folders[p] = map[string]bool{key.Environment: true}
	}
	if err := u.releases(w); err != nil {
		return nil, err
	}
	u.dropped, u.added, u.folderSet = nil, u.entries, true
	return u.settle().only(key), nil
}

// named adds the runtime and accelerator of a release.
func (w *work) named(n names) {
	if name, version, ok := strings.Cut(n.runtime, "@"); ok {
		if dir := path.Join("runtimes", name, version); fs.ValidPath(dir) && strings.Count(dir, "/") == 2 && !hidden(name) && !hidden(version) {
			w.runtimes.add(place{name: n.runtime, dir: dir})
		}
	}
	if name := n.accelerator; path.Base(name) == name && !hidden(name) {
		w.accelerators.add(place{name: name, dir: path.Join("accelerators", name)})
	}
}
