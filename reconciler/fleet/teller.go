package fleet

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
)

// teller tells commits in words.
type teller struct {
	*selection
	until time.Time // from then on no more files are read
}

// commit tells one with so many of its releases.
func (t *teller) commit(ctx context.Context, h *hit, releases int) Commit {
	hash := h.hash.String()
	c := Commit{
		Commit: hash, Revision: t.Source().Revision(h.hash), URL: t.CommitURL(hash), When: h.when, Author: plain(h.who.Author.Name), ByRule: h.who.ByRule,
		PromotedFrom: plain(h.who.PromotedFrom), PullRequest: plain(h.who.PullRequest), Subject: plain(h.who.Subject), State: h.state,
		What: []Deed{}, Releases: []Effect{}, MoreWhat: h.more,
	}
	c.PullRequestURL, c.Links = t.MentionURL(c.PullRequest), t.links(c.Subject)
	if !h.who.ByRule {
		c.Merger = plain(h.who.Merger())
	}
	_, _, c.Shared = registry.Affected(pathsOf(h.touches))
	touches := slices.Clone(h.touches)
	slices.SortStableFunc(touches, func(a, b registry.Touch) int {
		return cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind))
	})
	for _, touch := range touches {
		if touch.Kind == registry.TouchedEnvironment && !t.seen(touch.Name) || touch.Kind == registry.TouchedRelease && len(t.effects[hash]) > 0 {
			continue
		}
		if releases == fewReleases && len(c.What) == fewDeeds {
			c.MoreWhat++
			continue
		}
		c.What = append(c.What, told(touch, t.how(ctx, h.deed, touch.Path)))
	}
	counts := map[string]int{}
	for _, e := range h.effects {
		counts[e.word]++
	}
	c.Outcomes = facets(counts)
	sorted := slices.Clone(h.effects)
	slices.SortStableFunc(sorted, func(a, b *outcome) int {
		switch {
		case a.state.worse(b.state):
			return -1
		case b.state.worse(a.state):
			return 1
		}
		return 0
	})
	for i, e := range sorted[:min(releases, len(sorted))] {
		c.Releases = append(c.Releases, t.effect(ctx, h.deed, e, releases == manyReleases, i))
	}
	c.MoreReleases = len(sorted) - len(c.Releases)
	return c
}

// kinds is the order in which things are told: what other things stand on first. fewDeeds is how many a list tells of.
var kinds = []string{
	registry.TouchedRegistry, registry.TouchedEnvironment, registry.TouchedRuntime, registry.TouchedAccelerator, registry.TouchedMark,
	registry.TouchedTraining, registry.TouchedVersion, registry.TouchedModel, registry.TouchedCard, registry.TouchedTeam, registry.TouchedRelease,
}

const fewDeeds = 5

func pathsOf(touches []registry.Touch) []string {
	out := make([]string, len(touches))
	for i, t := range touches {
		out[i] = t.Path
	}
	return out
}

// effect tells a release at a commit; in full with all of its outcomes.
func (t *teller) effect(ctx context.Context, d *deed, o *outcome, full bool, place int) Effect {
	e := Effect{
		Environment: o.Release.Environment, Release: o.Release.Name, From: o.From, To: o.To, Outcome: o.word, State: o.state,
		Metrics: t.metrics(ctx, o.Revision),
	}
	if e.Model = path.Base(cmp.Or(o.ToModel, o.FromModel)); e.Model == "." {
		e.Model = ""
	}
	e.Reason, e.Message = o.Reason()
	e.Message = plain(e.Message)
	if n := len(o.Events); n > 0 && o.Events[n-1].Outcome == o.word {
		e.At = o.Events[n-1].At
	} else if row := t.row(o.Release); row != nil && o.word != "" {
		if e.Reason, e.Message = row.Reason, ""; e.Reason == o.word {
			e.Reason = ""
		}
	}
	if n := len(o.Served); n > 0 && o.Served[n-1].Until.IsZero() {
		e.Since = o.Served[n-1].From
	}
	if full {
		for _, x := range o.Events {
			e.Events = append(e.Events, Event{x.At, x.Outcome, StateOf(x.Outcome), x.Version, x.Serves, x.Reason, plain(x.Message), plain(x.By)})
		}
	}
	if o.From != "" && o.To != "" && !o.Cut && (full || place == 0) {
		e.Edits = t.edits(ctx, d, o.Release)
	}
	return e
}

// metrics are those of the two versions that differ, where a version changed.
func (t *teller) metrics(ctx context.Context, r *history.Revision) (out []Metric) {
	if r.From == r.To && r.FromModel == r.ToModel || r.To == "" {
		return nil
	}
	from, to := t.metricsOf(r.FromModel, r.From), t.metricsOf(r.ToModel, r.To)
	if (from == nil && r.From != "" || to == nil) && time.Now().Before(t.until) { // it is gone from the branch
		var err error
		if from, to, err = t.past.Metrics(ctx, r.Change); err != nil {
			return nil
		}
	}
	return compared(from, to)
}

// metricsOf are a version's in the registry now: a version never changes. Nil when it is not there.
func (t *teller) metricsOf(model, version string) map[string]float64 {
	if t.models == nil || version == "" {
		return nil
	}
	if m := t.models.Models[path.Base(model)]; m != nil && path.Dir(m.Path) == model && m.Versions[version] != nil {
		if metrics := m.Versions[version].Spec.Metrics; metrics != nil {
			return metrics
		}
		return map[string]float64{}
	}
	return nil
}

func compared(from, to map[string]float64) (out []Metric) {
	names := slices.Concat(slices.Collect(maps.Keys(from)), slices.Collect(maps.Keys(to)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		m := Metric{Name: name}
		f, had := from[name]
		n, has := to[name]
		if had && has && f == n {
			continue
		}
		if had {
			m.From = &f
		}
		if has {
			m.To = &n
		}
		out = append(out, m)
	}
	return out
}

// told is what was done to a thing, in words: a mark is told of the version that bears it.
func told(t registry.Touch, how string) Deed {
	if t.Kind != registry.TouchedMark {
		return Deed{t.Kind, t.Name, how}
	}
	word := map[string]string{"added": "marked bad", "removed": "not marked bad any more", "changed": "marked bad otherwise"}[how]
	return Deed{registry.TouchedVersion, t.Name, word}
}

// how says what a commit did to the thing that a file is of, as far as the file tells.
func (t *teller) how(ctx context.Context, d *deed, file string) string {
	was, is := t.has(ctx, d.parent, file), t.has(ctx, d.hash, file)
	switch {
	case is && !was:
		return "added"
	case was && !is:
		return "removed"
	}
	return "changed"
}

func (t *teller) has(ctx context.Context, commit gitops.Hash, file string) bool {
	if commit.IsZero() {
		return false
	}
	snapshot, err := t.Source().Snapshot(ctx, commit)
	if err != nil {
		return false
	}
	_, err = fs.Stat(snapshot, file)
	return !errors.Is(err, fs.ErrNotExist) && err == nil
}

// edits are what of a release's fields a commit changed.
func (t *teller) edits(ctx context.Context, d *deed, key registry.Key) []Edit {
	if known, ok := t.told.edits.get(d.hash, key); ok || !time.Now().Before(t.until) {
		return known
	}
	was, is := t.at(ctx, d.parent, key), t.at(ctx, d.hash, key)
	if ctx.Err() != nil {
		return nil
	}
	var out []Edit
	if was != nil && is != nil {
		out = edits(was, is)
	}
	t.told.edits.put(d.hash, key, out)
	return out
}

// at is a release as a commit has it; nil when it has none that is sound.
func (t *teller) at(ctx context.Context, commit gitops.Hash, key registry.Key) *registry.Release {
	if commit.IsZero() {
		return nil
	}
	snapshot, err := t.Source().Snapshot(ctx, commit)
	if err != nil {
		return nil
	}
	models, err := registry.LoadRelease(snapshot, key)
	if err != nil {
		return nil
	}
	return models.Release(key)
}
