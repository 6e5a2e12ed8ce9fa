package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// Viewer is who asks.
type Viewer struct {
	// May says whether an environment of a registry may be seen; all may when nil.
	May func(registry, environment string) bool
	// Logs says whether what containers of an environment's releases write may be seen; all may when nil.
	Logs func(registry, environment string) bool
}

func (v Viewer) may(registry, environment string) bool {
	return v.May == nil || v.May(registry, environment)
}

func (v Viewer) seesLogs(registry, environment string) bool {
	return v.Logs == nil || v.Logs(registry, environment)
}

// Query selects releases. The zero Query selects all.
type Query struct {
	// Search is words that a release's name, model, team, version, author or commit all contain.
	Search string
	// Environment, Team and Model are names.
	Environment, Team, Model string
	// State is one of a Facet's of [Releases.States].
	State string
	// From is how many lines are left out at the beginning, Limit how many are told; DefaultLimit when zero.
	From, Limit int
}

// DefaultLimit is how many lines a list has unless it is asked for more; MostLines is the most it has.
const (
	DefaultLimit = 100
	MostLines    = 1000
)

// Releases is the fleet: releases by environments.
type Releases struct {
	Registry string `json:"registry"`
	Tip      *Tip   `json:"tip,omitempty"`
	// Behind says why the newest commit is not followed, or not by all environments.
	Behind string  `json:"behind,omitempty"`
	Query  Query   `json:"-"`
	Heads  []Head  `json:"environments"`
	Lines  []Line  `json:"releases"`
	States []Facet `json:"states"`
	// Environments are all that the viewer may see, Heads those that the query selects.
	Environments []string `json:"allEnvironments"`
	Teams        []string `json:"teams"`
	Models       []string `json:"models"`
	// All is how many releases there are, each counted in each of its environments, Found how many lines the query selects.
	All   int `json:"all"`
	Found int `json:"found"`
	From  int `json:"from"`
	// Partial says that the clusters have not told all yet.
	Partial bool `json:"partial,omitempty"`
}

// Tip is the commit that was followed last.
type Tip struct {
	Commit   string    `json:"commit"`
	Revision string    `json:"revision"`
	Author   string    `json:"author"`
	Subject  string    `json:"subject"`
	Links    []Link    `json:"links,omitempty"` // those of Subject
	When     time.Time `json:"when"`
}

// Head is an environment: a column.
type Head struct {
	Name     string `json:"name"`
	Releases int    `json:"releases"`
	GPUs     int    `json:"gpus"`
}

// Line is the releases of one name, one for each of Heads; nil where there is none.
type Line struct {
	Release string  `json:"release"`
	Team    string  `json:"team,omitempty"`
	Model   string  `json:"model"`
	Cells   []*Cell `json:"environments"`
}

// Cell is a release in one environment.
type Cell struct {
	Row
	State State `json:"state"`
	// Wanted is the version the branch asks for, where that is not what serves.
	Wanted string `json:"wanted,omitempty"`
	// Fault is why the branch's files make no release.
	Fault string `json:"fault,omitempty"`
	// From is the environment whose version can be promoted to here next, Offers that version; empty where there is none.
	From   string `json:"from,omitempty"`
	Offers string `json:"offers,omitempty"`

	rule string // the environment that the release's rule takes versions from
}

// State is how a release stands in one word.
type State string

// The states, those that need a person first.
const (
	Broken    State = "broken"    // nothing of it serves as it should
	Stopped   State = "stopped"   // an older version serves, and nothing goes on without a person
	Manual    State = "manual"    // a person decided otherwise than the branch: pinned, suspended, edited
	Moving    State = "moving"    // on its way, or waiting for what ends by itself
	Well      State = "healthy"   // as the branch asks for
	Attention State = "attention" // Broken, Stopped or Manual; of queries only
)

// states are those of a list's facets, in their order.
var states = []State{Attention, Broken, Stopped, Manual, Moving, Well}

func (s State) rank() int { return slices.Index(states, s) }

// Has says whether the state is another, or one of what that sums up.
func (s State) Has(other State) bool {
	return s == other || s == Attention && (other == Broken || other == Stopped || other == Manual)
}

// Facet is how many releases have a value.
type Facet struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Releases lists what a query selects, those that need a person first and then by name. It is nil when the registry is not
// followed.
func (f *Fleet) Releases(v Viewer, name string, q Query) *Releases {
	r := f.of(name)
	if r == nil {
		return nil
	}
	l := r.look()
	out := &Releases{Registry: name, Tip: l.tip(), Behind: l.behind(v), Query: q, From: max(q.From, 0), Partial: !r.synced.Load()}
	lines, heads, counts := map[string]*Line{}, map[string]*Head{}, map[State]int{}
	teams, models := map[string]bool{}, map[string]bool{}
	cells := l.cells(v)
	for _, c := range cells {
		h := heads[c.Environment]
		if h == nil {
			h = &Head{Name: c.Environment}
			heads[c.Environment] = h
		}
		h.Releases, h.GPUs = h.Releases+1, h.GPUs+c.GPUs
		if q.Environment == "" || q.Environment == c.Environment {
			out.All++
			counts[c.State]++
		}
		teams[c.Team], models[c.Model] = true, true
	}
	for _, h := range l.columns(heads) {
		out.Environments = append(out.Environments, h.Name)
		if q.Environment == "" || q.Environment == h.Name {
			out.Heads = append(out.Heads, h)
		}
	}
	at := map[string]int{}
	for i, h := range out.Heads {
		at[h.Name] = i
	}
	selected := map[string]bool{}
	words := words(q.Search)
	for _, c := range cells {
		if _, shown := at[c.Environment]; shown && q.selects(c, words) {
			selected[c.Release] = true
		}
	}
	for _, c := range cells {
		i, shown := at[c.Environment]
		if !shown || !selected[c.Release] {
			continue
		}
		line := lines[c.Release]
		if line == nil {
			line = &Line{Release: c.Release, Cells: make([]*Cell, len(out.Heads))}
			lines[c.Release] = line
		}
		line.Cells[i] = c
		line.Team, line.Model = cmp.Or(line.Team, c.Team), cmp.Or(line.Model, c.Model)
	}
	all := slices.SortedFunc(maps.Values(lines), func(a, b *Line) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.Release, b.Release))
	})
	out.Found = len(all)
	for _, line := range part(all, out.From, cmp.Or(q.Limit, DefaultLimit)) {
		line.offers()
		out.Lines = append(out.Lines, *line)
	}
	for _, s := range states {
		n := counts[s]
		if s == Attention {
			n = counts[Broken] + counts[Stopped] + counts[Manual]
		}
		out.States = append(out.States, Facet{string(s), n})
	}
	delete(teams, "")
	delete(models, "")
	out.Teams, out.Models = slices.Sorted(maps.Keys(teams)), slices.Sorted(maps.Keys(models))
	return out
}

// words are those of a search, in small letters.
func words(search string) []string { return strings.Fields(strings.ToLower(search)) }

// selects says whether a cell is one that is looked for.
func (q Query) selects(c *Cell, words []string) bool {
	switch {
	case q.Team != "" && q.Team != c.Team, q.Model != "" && q.Model != c.Model, q.State != "" && !State(q.State).Has(c.State):
		return false
	case len(words) == 0:
		return true
	}
	text := strings.ToLower(strings.Join([]string{c.Release, c.Model, c.Team, c.Version, c.Next, c.Wanted, c.Held, c.Author, c.Commit, c.Reason}, " "))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// rank is that of the line's cell that needs a person most.
func (l *Line) rank() int {
	rank := Well.rank()
	for _, c := range l.Cells {
		if c != nil {
			rank = min(rank, c.State.rank())
		}
	}
	return rank
}

// offers finds what can be promoted: by a release's rule, or, where it has none, what became healthy elsewhere after it got
// its own version. A version that its name tells to be older than what is there, or is asked for, is a way back and no promotion.
func (l *Line) offers() {
	for _, to := range l.Cells {
		if to == nil || to.Fault != "" {
			continue
		}
		var best *Cell
		for _, from := range l.Cells {
			switch {
			case from == nil || from == to || from.State != Well || from.Model != to.Model,
				from.Version == "" || from.Version == to.Version || from.Version == to.Wanted || from.Version == to.Held,
				registry.Older(from.Version, to.Version), to.Wanted != to.Held && registry.Older(from.Version, to.Wanted):
			case to.rule != "" && from.Environment != to.rule, to.rule == "" && (from.rule == to.Environment || !from.newer(to)):
			case best == nil || from.Since.After(best.Since):
				best = from
			}
		}
		if best != nil {
			to.From, to.Offers = best.Environment, best.Version
		}
	}
}

// newer says that a release got its version by a later commit than another one. One commit that brings both, as a first
// one does, tells nothing.
func (c *Cell) newer(than *Cell) bool { return c.Commit != than.Commit && c.Since.After(than.Since) }

// stages are what environments are often called, in the order in which versions go through them.
var stages = []string{"dev", "test", "int", "qa", "stag", "pre", "canary", "prod", "live"}

// stage is where an environment's name stands among them; those of other names come before production.
func stage(name string) int {
	for i, s := range stages {
		if strings.HasPrefix(name, s) {
			return i
		}
	}
	return slices.Index(stages, "canary")
}

// columns are the environments in the order in which versions go through them, where rules tell it, else as their names do.
func (l *look) columns(heads map[string]*Head) (out []Head) {
	depth := l.depths()
	for _, name := range slices.SortedFunc(maps.Keys(heads), func(a, b string) int {
		return cmp.Or(cmp.Compare(depth[a], depth[b]), cmp.Compare(stage(a), stage(b)), strings.Compare(a, b))
	}) {
		out = append(out, *heads[name])
	}
	return out
}

// depths are how many promotions a version has behind it in an environment, by most of the rules.
func (l *look) depths() map[string]int {
	before := map[string]map[string]bool{}
	if l.models != nil {
		for _, r := range l.models.Releases {
			if r.Promote != nil && r.Promote.FromEnvironment() != "" {
				if before[r.Environment.Name] == nil {
					before[r.Environment.Name] = map[string]bool{}
				}
				before[r.Environment.Name][r.Promote.FromEnvironment()] = true
			}
		}
	}
	out := map[string]int{}
	var depth func(name string, seen map[string]bool) int
	depth = func(name string, seen map[string]bool) int {
		if n, known := out[name]; known || seen[name] {
			return n
		}
		seen[name] = true
		n := 0
		for from := range before[name] {
			n = max(n, depth(from, seen)+1)
		}
		delete(seen, name)
		out[name] = n
		return n
	}
	for name := range before {
		depth(name, map[string]bool{})
	}
	return out
}
