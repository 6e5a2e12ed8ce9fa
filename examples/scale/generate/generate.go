// Package generate writes a registry of any number of releases, the same bytes for the same options: in team
// folders, as a large registry is kept, or flat, as its worst case.
//
// Every release is one Deployment with its ServiceAccount, ConfigMap and Service. All files differ from one
// another, so that nothing is saved by blobs that happen to be equal. It knows nothing of clusters.
package generate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The environment, its namespace, and the version every release starts at.
const (
	Environment = "production"
	Namespace   = "production"
	First       = "v1"
	Second      = "v2"
)

// Layout is where the releases' folders are.
type Layout string

// Teams puts each team's models and releases below teams/<team>; Flat puts all into two folders.
const (
	Teams Layout = "teams"
	Flat  Layout = "flat"
)

// Options say what to write.
type Options struct {
	Releases int
	Layout   Layout
	Replicas int    // of each Deployment
	Images   string // OCI repository prefix for model images
}

// Objects is how many objects a release has.
const Objects = 4

// maxTeams bounds the teams, and with them the models: one each.
const maxTeams = 100

// Release is one release of the registry.
type Release struct {
	Name, Team, Model string
	File              string // the Release file, from the repository's root
}

// teams is how many teams share n releases: ten releases each, until there are a hundred teams.
func teams(n int) int { return max(1, min(maxTeams, n/10)) }

// Releases lists what Write writes, a team's releases one after the other.
func Releases(o Options) []Release {
	all := make([]Release, o.Releases)
	for i := range all {
		team := fmt.Sprintf("t%02d", i*teams(o.Releases)/o.Releases)
		name := fmt.Sprintf("r%05d", i)
		all[i] = Release{Name: name, Team: team, Model: "model-" + team, File: o.root(team) + "releases/" + name + "/" + Environment + ".yaml"}
	}
	return all
}

// Models is how many models the registry has.
func Models(o Options) int { return teams(o.Releases) }

func (o Options) root(team string) string {
	if o.Layout == Flat {
		return ""
	}
	return "teams/" + team + "/"
}

// Write writes the registry into dir, which must be empty or not exist.
func Write(dir string, o Options) error {
	w := &writer{dir: dir}
	w.file("davit.yaml", registryFile, "IMAGES", o.Images)
	w.file("environments/"+Environment+"/environment.yaml", environmentFile)
	for name, text := range runtimeFiles {
		w.file("runtimes/server/1.0.0/"+name, text, "REPLICAS", fmt.Sprint(o.Replicas))
	}
	for i := range teams(o.Releases) {
		w.team(o, fmt.Sprintf("t%02d", i))
	}
	for _, r := range Releases(o) {
		w.file(filepath.Dir(r.File)+"/serving.yaml", servingFile, "MODEL", r.Model, "NAME", r.Name)
		w.file(r.File, ReleaseText(r, First))
	}
	return w.err
}

// ReleaseText is a Release file at a version. A promotion changes one line of it.
func ReleaseText(r Release, version string) string {
	return strings.NewReplacer("NAME", r.Name, "VERSION", version).Replace(releaseFile)
}

// ReleaseOf is the release an object belongs to, by the object's name.
func ReleaseOf(object string) string {
	name, _, _ := strings.Cut(object, "-")
	return name
}

// writer keeps the first error.
type writer struct {
	dir string
	err error
}

func (w *writer) file(name, text string, replace ...string) {
	if w.err != nil {
		return
	}
	path := filepath.Join(w.dir, name)
	if w.err = os.MkdirAll(filepath.Dir(path), 0o755); w.err == nil {
		w.err = os.WriteFile(path, []byte(strings.NewReplacer(replace...).Replace(text)), 0o644)
	}
}
