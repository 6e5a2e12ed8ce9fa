package fleet

import (
	"slices"
	"time"
)

// Mark is a stretch of time in which commits came to the branch.
type Mark struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// State is that of the commit that needs a person most.
	State State `json:"state"`
	// Count is how many commits there were, Commits those that need a person most.
	Count   int      `json:"count"`
	Commits []Marked `json:"commits"`
}

// Marked is a commit of a Mark.
type Marked struct {
	Commit  string    `json:"commit"`
	When    time.Time `json:"when"`
	State   State     `json:"state"`
	Author  string    `json:"author"`
	Subject string    `json:"subject"`
}

// stretches is how many marks a strip has at most, mostMarked how many commits one names.
const (
	stretches    = 100
	mostMarked   = 5
	mostTroubles = 500
)

// strip sums the commits that were found up by time.
func (s *selection) strip(out *Timeline) {
	if out.Until.IsZero() || out.Until.After(s.now) {
		out.Until = s.now
	}
	if out.Since.IsZero() {
		if out.Since = out.Until.Add(-time.Hour); len(s.found) > 0 {
			first := s.found[len(s.found)-1].when
			out.Since = first.Add(-out.Until.Sub(first) / 50) // a little room before it
		}
	}
	if !out.Since.Before(out.Until) {
		out.Since = out.Until.Add(-time.Hour)
	}
	width := out.Until.Sub(out.Since)/stretches + 1
	for _, h := range slices.Backward(s.found) {
		if h.when.Before(out.Since) || h.when.After(out.Until) {
			continue // its clock was wrong
		}
		from := out.Since.Add(h.when.Sub(out.Since) / width * width)
		n := len(out.Strip)
		if n == 0 || !out.Strip[n-1].From.Equal(from) {
			i, there := slices.BinarySearchFunc(out.Strip, from, func(m Mark, at time.Time) int { return m.From.Compare(at) })
			if n = i + 1; !there { // committers' times need not be in order
				out.Strip = slices.Insert(out.Strip, i, Mark{From: from, Until: from.Add(width), State: Past})
			}
		}
		out.Strip[n-1].add(h)
	}
	for _, t := range s.chronicle.troubles {
		late := t.From.After(out.Until) || !t.Until.IsZero() && t.Until.Before(out.Since)
		if !late && s.seen(t.Environment) && s.troubled(t) && len(out.Troubles) < mostTroubles {
			out.Troubles = append(out.Troubles, t)
		}
	}
}

// troubled says whether a query is about a trouble.
func (s *selection) troubled(t Trouble) bool {
	for _, r := range s.effects[t.Commit] {
		if r.Release.Environment == t.Environment && r.Release.Name == t.Release {
			return s.wants(&r)
		}
	}
	return s.query.Model == "" && s.query.Release == "" && s.query.Environment == ""
}

func (m *Mark) add(h *hit) {
	if m.Count++; h.state.worse(m.State) {
		m.State = h.state
	}
	c := Marked{h.hash.String(), h.when, h.state, plain(h.who.Author.Name), plain(h.who.Subject)}
	if len(m.Commits) < mostMarked {
		m.Commits = append(m.Commits, c)
		return
	}
	for i := range m.Commits {
		if c.State.worse(m.Commits[i].State) {
			m.Commits[i] = c
			return
		}
	}
}
