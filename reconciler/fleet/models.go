package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// ModelQuery selects models. The zero ModelQuery selects all.
type ModelQuery struct {
	// Search is words that name, description, task, team, owners and versions together contain all of.
	Search string
	// Team and Task are names.
	Team, Task string
	// From is how many models are left out at the beginning, Limit how many are told; DefaultLimit when zero.
	From, Limit int
}

// Models are the models of a registry, by name.
type Models struct {
	Registry string         `json:"registry"`
	Tip      *Tip           `json:"tip,omitempty"`
	Models   []ModelInBrief `json:"models"`
	Teams    []string       `json:"teams"`
	Tasks    []string       `json:"tasks"`
	// All is how many there are, Found how many the query selects.
	All   int `json:"all"`
	Found int `json:"found"`
	From  int `json:"from"`
}

// ModelInBrief is a model on one line.
type ModelInBrief struct {
	Model       string   `json:"model"`
	Team        string   `json:"team,omitempty"`
	Task        string   `json:"task,omitempty"`
	Description string   `json:"description,omitempty"`
	Owners      []string `json:"owners"`
	Versions    int      `json:"versions"`
	// Newest is the version that came last, and Merged when; Bad says that it is marked so.
	Newest string    `json:"newest,omitempty"`
	Merged time.Time `json:"merged,omitzero"`
	Bad    bool      `json:"bad,omitempty"`
	// Serves are the releases of it, by environment.
	Serves []Serving `json:"serves"`
}

// Serving is a release that serves a version of a model.
type Serving struct {
	Environment string `json:"environment"`
	Release     string `json:"release"`
	// Version serves, Next is on its way or asked for, Held failed and is held back.
	Version string    `json:"version,omitempty"`
	Next    string    `json:"next,omitempty"`
	Held    string    `json:"held,omitempty"`
	State   State     `json:"state"`
	Phase   string    `json:"phase,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Models lists what a query selects. It is nil when the registry is not followed.
func (f *Fleet) Models(ctx context.Context, v Viewer, name string, q ModelQuery) (*Models, error) {
	r := f.of(name)
	if r == nil {
		return nil, nil
	}
	l := r.look()
	out := &Models{Registry: name, Tip: l.tip(), Models: []ModelInBrief{}, Teams: []string{}, Tasks: []string{}, From: max(q.From, 0)}
	if l.models == nil {
		return out, nil
	}
	c, err := l.chronicle(ctx)
	if err != nil {
		return nil, err
	}
	teams, tasks := map[string]bool{}, map[string]bool{}
	words := strings.Fields(strings.ToLower(q.Search))
	var found []*registry.Model
	for _, m := range l.models.Models {
		teams[m.Team], tasks[m.Spec.Task] = true, true
		if q.selectsModel(m, words) {
			found = append(found, m)
		}
	}
	delete(teams, "")
	delete(tasks, "")
	out.Teams, out.Tasks = slices.Sorted(maps.Keys(teams)), slices.Sorted(maps.Keys(tasks))
	out.All, out.Found = len(l.models.Models), len(found)
	slices.SortFunc(found, func(a, b *registry.Model) int { return strings.Compare(a.Name, b.Name) })
	found = part(found, out.From, cmp.Or(q.Limit, DefaultLimit))
	serves := l.servings(v)
	for _, m := range found {
		out.Models = append(out.Models, brief(m, c, serves[m.Name]))
	}
	return out, nil
}

// selectsModel says whether a model is one that is looked for.
func (q ModelQuery) selectsModel(m *registry.Model, words []string) bool {
	switch {
	case q.Team != "" && q.Team != m.Team, q.Task != "" && q.Task != m.Spec.Task:
		return false
	case len(words) == 0:
		return true
	}
	parts := append([]string{m.Name, m.Spec.Description, m.Spec.Task, m.Team}, m.Spec.Owners...)
	text := strings.ToLower(strings.Join(slices.AppendSeq(parts, maps.Keys(m.Versions)), " "))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

func brief(m *registry.Model, c *chronicle, serves []Serving) ModelInBrief {
	b := ModelInBrief{
		Model: m.Name, Team: m.Team, Task: plain(m.Spec.Task), Description: plain(m.Spec.Description), Owners: append([]string{}, m.Spec.Owners...),
		Versions: len(m.Versions), Serves: append([]Serving{}, serves...),
	}
	if all := c.versions(m); len(all) > 0 {
		b.Newest, b.Bad = all[0].Name, all[0].Bad != nil
		if d := c.made[all[0].Path]; d != nil {
			b.Merged = d.when
		}
	}
	return b
}

// servings are the releases that a viewer may see, by model, in the order in which versions go
// through environments.
func (l *look) servings(v Viewer) map[string][]Serving {
	out := map[string][]Serving{}
	for _, c := range l.cells(v) {
		if c.Model == "" {
			continue
		}
		s := Serving{c.Environment, c.Release, c.Version, c.Next, c.Held, c.State, string(c.Phase), c.Since}
		if s.Next == "" && c.Wanted != c.Held {
			s.Next = c.Wanted
		}
		out[c.Model] = append(out[c.Model], s)
	}
	depth := l.depths()
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b Serving) int { return cmp.Compare(depth[a.Environment], depth[b.Environment]) })
	}
	return out
}

// versions are a model's, those that came last first; of one commit those of greater names.
func (c *chronicle) versions(m *registry.Model) []*registry.ModelVersion {
	when := func(v *registry.ModelVersion) time.Time {
		if c != nil {
			if d := c.made[v.Path]; d != nil {
				return d.when
			}
		}
		return time.Time{}
	}
	return slices.SortedFunc(maps.Values(m.Versions), func(a, b *registry.ModelVersion) int {
		return cmp.Or(when(b).Compare(when(a)), naturally(b.Name, a.Name))
	})
}
