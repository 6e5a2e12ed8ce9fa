package fleet

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// in says, asking for each environment once, which of a registry's may be seen.
func (v Viewer) in(name string) func(environment string) bool {
	known := map[string]bool{}
	return func(environment string) bool {
		ok, asked := known[environment]
		if !asked {
			ok = v.may(name, environment)
			known[environment] = ok
		}
		return ok
	}
}

// selection is what one query selects of a chronicle.
type selection struct {
	*look
	*chronicle
	query TimelineQuery
	seen  func(environment string) bool
	now   time.Time
	found []*hit // newest first
}

// hit is a commit that is selected, with its releases that are: those that need a person first.
type hit struct {
	*deed
	effects []*outcome
	state   State
}

// outcome is a release at a commit.
type outcome struct {
	*history.Revision
	word  string
	state State
}

// tell fills in all but the commits.
func (s *selection) tell(out *Timeline) {
	out.All, out.Cut = len(s.deeds), s.cut
	counts, authors, environments := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, d := range s.deeds {
		authors[d.who.Author.Name] = true
		if !s.inTime(d) || !s.by(d) {
			continue
		}
		h := s.hit(d)
		if h == nil {
			continue
		}
		words := map[string]bool{}
		for _, e := range h.effects {
			words[e.word] = true
		}
		words[failedOrBack] = words[string(v1alpha1.Failed)] || words[string(v1alpha1.RolledBack)]
		for word, is := range words {
			if is && word != "" {
				counts[word]++
			}
		}
		if s.query.Outcome == "" || words[s.query.Outcome] {
			s.found = append(s.found, h)
		}
	}
	for key := range s.newest {
		if s.seen(key.Environment) {
			environments[key.Environment] = true
		}
	}
	out.Found = len(s.found)
	out.Outcomes = facets(counts)
	out.Environments, out.Authors = slices.Sorted(maps.Keys(environments)), slices.Sorted(maps.Keys(authors))
	out.Authors = out.Authors[:min(len(out.Authors), mostAuthors)]
	s.strip(out)
}

// mostAuthors bounds the names that are offered.
const mostAuthors = 200

// outcomeOrder is the order in which outcomes are told.
var outcomeOrder = []string{
	failedOrBack, string(v1alpha1.Failed), string(v1alpha1.RolledBack), string(v1alpha1.Held), string(v1alpha1.Pinned), string(v1alpha1.Waiting), string(v1alpha1.Progressing),
	string(v1alpha1.Healthy), string(v1alpha1.Superseded),
}

func facets(counts map[string]int) []Facet {
	out := []Facet{}
	for _, word := range outcomeOrder {
		if counts[word] > 0 {
			out = append(out, Facet{word, counts[word]})
		}
	}
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		if counts[word] > 0 && !slices.Contains(outcomeOrder, word) {
			out = append(out, Facet{word, counts[word]})
		}
	}
	return out
}

func (s *selection) inTime(d *deed) bool {
	return (s.query.Since.IsZero() || !d.when.Before(s.query.Since)) && (s.query.Until.IsZero() || !d.when.After(s.query.Until))
}

// by says whether an author who is looked for made a commit.
func (s *selection) by(d *deed) bool {
	if s.query.Author == "" {
		return true
	}
	text := strings.Join([]string{d.who.Author.Name, d.who.Author.Email, d.who.Committer.Name, d.who.Committer.Email}, "\n")
	return strings.Contains(strings.ToLower(text), strings.ToLower(s.query.Author))
}

// hit is nil when a commit is not looked for, or is about nothing that the viewer may see.
func (s *selection) hit(d *deed) *hit {
	h := &hit{deed: d, state: Past}
	all := s.effects[d.hash.String()]
	visible := false
	for i := range all {
		r := &all[i]
		if !s.seen(r.Release.Environment) {
			continue
		}
		visible = true
		if !s.wants(r) {
			continue
		}
		e := s.outcome(r)
		if e.state.worse(h.state) {
			h.state = e.state
		}
		h.effects = append(h.effects, e)
	}
	switch {
	case len(h.effects) > 0:
		return h
	case len(all) > 0 && !visible, len(all) == 0 && s.hidden(d), !s.about(d):
		return nil
	}
	return h
}

func (s *selection) wants(r *history.Revision) bool {
	q := s.query
	return (q.Environment == "" || q.Environment == r.Release.Environment) &&
		(q.Release == "" || q.Release == r.Release.Name || q.Release == r.Release.String()) &&
		(q.Model == "" || q.Model == path.Base(r.ToModel) || q.Model == path.Base(r.FromModel))
}

// about says whether a commit is looked for that does nothing to the releases that are looked for.
func (s *selection) about(d *deed) bool {
	q := s.query
	if q.Release != "" {
		return false
	}
	if q.Environment == "" && q.Model == "" {
		return true
	}
	return slices.ContainsFunc(d.touches, func(t registry.Touch) bool {
		model, _, _ := strings.Cut(strings.Replace(t.Name, "@", "/", 1), "/")
		switch t.Kind {
		case registry.TouchedEnvironment:
			return q.Model == "" && q.Environment == t.Name
		case registry.TouchedModel, registry.TouchedVersion, registry.TouchedMark, registry.TouchedCard, registry.TouchedTraining:
			return q.Environment == "" && q.Model == model
		}
		return false
	})
}

// hidden says that a commit is about environments alone that the viewer may not see.
func (s *selection) hidden(d *deed) bool {
	for _, t := range d.touches {
		if t.Kind != registry.TouchedEnvironment || s.seen(t.Name) {
			return false
		}
	}
	return len(d.touches) > 0
}

// outcome is what was noted; of what has none yet, how the release stands now.
func (s *selection) outcome(r *history.Revision) *outcome {
	word := r.Outcome()
	if (word == "" || word == string(v1alpha1.Waiting)) && s.newest[r.Release] == r.Commit {
		if row := s.row(r.Release); row != nil && (row.Commit == r.Commit || row.Held != "" && row.Held == r.To || row.Phase == v1alpha1.Progressing || row.Phase == v1alpha1.Waiting) {
			word = cmp.Or(string(row.Phase), word)
		}
	}
	return &outcome{r, word, StateOf(word)}
}

// page are the commits that are told.
func (s *selection) page() []*hit {
	return part(s.found, s.query.From, cmp.Or(s.query.Limit, DefaultCommits))
}

// one is the commit that was asked for, whatever else the query selects; nil when there is none.
func (s *selection) one() *hit {
	if len(s.query.Commit) < 7 {
		return nil
	}
	for _, d := range s.deeds {
		if strings.HasPrefix(d.hash.String(), s.query.Commit) {
			all := *s
			all.query = TimelineQuery{}
			return all.hit(d)
		}
	}
	return nil
}
