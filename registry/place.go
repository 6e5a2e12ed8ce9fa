package registry

import (
	"path"
	"strings"
)

// kind is a kind of unit.
type kind int

const (
	kindNone kind = iota
	kindRoot
	kindEnvironment
	kindRuntime
	kindAccelerator
	kindTeam
	kindModel
	kindRelease
)

// placeOf says in which unit a path lies, and where within it (rest is "" for the unit's own path).
func placeOf(name string) (k kind, p place, rest string) {
	parts := strings.Split(name, "/")
	team := ""
	if parts[0] == "teams" && len(parts) > 2 {
		if team, parts = parts[1], parts[2:]; hidden(team) {
			return kindNone, place{}, ""
		}
	}
	depth := 2
	switch {
	case team == "" && parts[0] == "davit.yaml":
		k, depth = kindRoot, 1
	case team == "" && parts[0] == "environments":
		k = kindEnvironment
	case team == "" && parts[0] == "runtimes":
		k, depth = kindRuntime, 3
	case team == "" && parts[0] == "accelerators":
		k = kindAccelerator
	case parts[0] == "models":
		k = kindModel
	case parts[0] == "releases":
		k = kindRelease
	}
	if k == kindNone || len(parts) < depth {
		return kindNone, place{}, ""
	}
	for _, part := range parts[min(1, depth-1):depth] {
		if hidden(part) {
			return kindNone, place{}, ""
		}
	}
	p = place{team: team, name: parts[depth-1], dir: path.Join(parts[:depth]...)}
	if team != "" {
		p.dir = path.Join("teams", team, p.dir)
	}
	if k == kindRuntime {
		p.name = parts[1] + "@" + parts[2]
	}
	return k, p, strings.Join(parts[depth:], "/")
}

// teamOf is the place of the team whose folder a path is in or below.
func teamOf(name string) (p place, rest string, ok bool) {
	below, ok := strings.CutPrefix(name, "teams/")
	if !ok {
		return place{}, "", false
	}
	team, rest, _ := strings.Cut(below, "/")
	return teamPlace(team), rest, !hidden(team)
}

func teamPlace(name string) place {
	return place{team: name, name: name, dir: "teams/" + name}
}

// inTeam is the place of a model or release ("models", "releases") in a team's folder, or at the root for "".
func inTeam(team, folder, name string) place {
	dir := path.Join(folder, name)
	if team != "" {
		dir = path.Join("teams", team, dir)
	}
	return place{team: team, name: name, dir: dir}
}

// hidden names are nobody's: editors, tools and davit's own state live there.
func hidden(name string) bool { return name == "" || strings.HasPrefix(name, ".") }
