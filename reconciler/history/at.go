package history

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Served is a release at a time.
type Served struct {
	Release registry.Key
	// Commit is that of the revision, the full hash; Version the model's version then.
	Commit, Version string
	// Intent says that nothing was noted of the release: it is what the branch asked for at that time.
	Intent bool
	// Since and Until bound it: when it began and ended to serve, or, of an intent, when it was and was no longer asked
	// for. A zero Until is still so.
	Since, Until time.Time
	// Rollout is not nil when the revision was being rolled out at that time.
	Rollout *Rollout
	// Image is the model image by digest, where an outcome tells it.
	Image string
	// Spec is the release as that commit has it, with the version that served, nil when it can't be read any more; Problem says why.
	Spec    *registry.Release
	Problem string
}

// Rollout is a revision on its way: the one before may have served beside it.
type Rollout struct {
	// From is the version before, "" for a first one.
	From string `json:"from,omitempty"`
	// Began is when objects were applied, Settled when the outcome was known.
	Began   time.Time `json:"began"`
	Settled time.Time `json:"settled"`
	Outcome string    `json:"outcome"`
}

// At tells what served at a time: by the outcomes that were noted, and by what the branch asked for where nothing was.
// Of f only the names are used. The tip is that of the branch now. Releases are in order of their keys.
func (h *History) At(ctx context.Context, tip gitops.Hash, at time.Time, f Filter) ([]Served, error) {
	v, err := h.view(ctx, tip)
	if err != nil {
		return nil, err
	}
	events, err := h.events(ctx, nil) // on commits that a rewritten branch left behind, too
	if err != nil {
		return nil, err
	}
	sortEvents(events, v.chain())
	served := &moment{view: v, at: at, source: h.source, changes: map[registry.Key][]Change{}, events: map[registry.Key][]gitops.Noted{}}
	for _, c := range v.changes(Filter{Environment: f.Environment, Release: f.Release}) {
		served.changes[c.Release] = append(served.changes[c.Release], c)
	}
	keys := maps.Clone(served.changes)
	for _, e := range events {
		if key, err := registry.ParseKey(e.Release); err == nil && f.names(key) {
			served.events[key] = append(served.events[key], e)
			keys[key] = nil
		}
	}
	var out []Served
	for _, key := range slices.SortedFunc(maps.Keys(keys), compare) {
		if s := served.of(key); s != nil {
			out = append(out, *s)
		}
	}
	if err := served.read(ctx, out); err != nil {
		return nil, err
	}
	if f.Model != "" {
		out = slices.DeleteFunc(out, func(s Served) bool { return s.Spec == nil || s.Spec.Model.Name != f.Model })
	}
	return out, nil
}

// moment is all releases at one time.
type moment struct {
	*view
	at      time.Time
	source  *gitops.Source
	changes map[registry.Key][]Change       // newest first
	events  map[registry.Key][]gitops.Noted // oldest first
}

// of is nil when the release was not there, or nothing of it served.
func (m *moment) of(key registry.Key) *Served {
	list := periods(m.events[key])
	if len(list) == 0 || list[0].From.After(m.at) {
		return m.intended(key)
	}
	for i, p := range list {
		if !p.holds(m.at) {
			continue
		}
		s := &Served{Release: key, Commit: p.commit.String(), Version: p.version, Since: p.From, Until: p.Until}
		if m.at.Before(p.Settled) {
			s.Rollout = &Rollout{Began: p.From, Settled: p.Settled, Outcome: p.event.Outcome}
			if i > 0 {
				s.Rollout.From = list[i-1].version
			}
		}
		for _, e := range m.events[key] {
			if e.Commit == p.commit && e.Version == p.version {
				s.Image = cmp.Or(e.Image, s.Image)
			}
		}
		return s
	}
	return nil
}

// intended is what the branch asked for.
func (m *moment) intended(key registry.Key) *Served {
	var until time.Time
	for _, c := range m.changes[key] {
		if c.When.After(m.at) {
			until = c.When
			continue
		}
		if c.To == "" {
			return nil
		}
		s := &Served{Release: key, Commit: c.Commit, Version: c.To, Intent: true, Since: c.When, Until: until}
		if c.Cut {
			s.Since = time.Time{}
		}
		return s
	}
	return nil
}

// many is from how many releases on the registry is read once for most of them.
const many = 20

// read fills in the releases as their commits have them.
func (m *moment) read(ctx context.Context, all []Served) error {
	last, then, err := m.registry(ctx, len(all))
	if err != nil {
		return err
	}
	chain := m.chain()
	for i := range all {
		s := &all[i]
		if at, here := chain[gitops.ParseHash(s.Commit)]; here && then != nil && m.unchanged(s.Release, at, last) {
			if r := then.Release(s.Release); r != nil && s.is(r) {
				s.Spec = r
				continue
			}
		}
		if err := m.readOne(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// registry reads that of the newest commit at the time, when there are many releases to be read.
func (m *moment) registry(ctx context.Context, n int) (last int, then *registry.Registry, err error) {
	for last = len(m.entries) - 1; last > 0 && m.entries[last].time > m.at.Unix(); last-- {
	}
	if n < many {
		return last, nil, nil
	}
	snapshot, err := m.source.Snapshot(ctx, m.entries[last].commit)
	if err != nil {
		return last, nil, err
	}
	then, err = registry.Load(snapshot)
	if errors.Is(err, registry.ErrNoRegistry) {
		return last, nil, nil
	}
	return last, then, err
}

// unchanged says whether a release's inputs are the same at two places of the chain.
func (m *moment) unchanged(key registry.Key, from, to int) bool {
	for _, c := range m.changes[key] {
		if c.position <= to {
			return from <= to && c.position <= from
		}
	}
	return false
}

// is says whether a release has the version that served; one that was not noted is the files'.
func (s *Served) is(r *registry.Release) bool {
	return s.Version == "" || s.Version == r.ModelVersion.Name
}

// in reads the release of a commit. One that was pinned to a version has all but that from the files.
func (s *Served) in(snapshot *gitops.Snapshot) (*registry.Registry, error) {
	models, err := registry.LoadRelease(snapshot, s.Release)
	if err != nil {
		return nil, err
	}
	r := models.Release(s.Release)
	if s.Intent || s.Version == "" || r != nil && s.is(r) {
		return models, nil
	}
	name, text, err := registry.WithVersion(snapshot, s.Release, s.Version)
	switch {
	case err == nil:
		return registry.LoadRelease(snapshot.Edited(name, text), s.Release)
	case r == nil:
		return models, nil // why there is none says more
	}
	return nil, err
}

func (m *moment) readOne(ctx context.Context, s *Served) error {
	snapshot, err := m.source.Snapshot(ctx, gitops.ParseHash(s.Commit))
	if err != nil {
		s.Problem = "the commit is not here"
		return ctx.Err()
	}
	models, err := s.in(snapshot)
	switch {
	case err != nil:
		s.Problem = err.Error()
	case models.Release(s.Release) != nil:
		s.Spec = models.Release(s.Release)
	case len(models.Broken[s.Release]) > 0:
		s.Problem = models.Broken[s.Release][0].String()
	default:
		s.Problem = "the commit has no such release"
	}
	return ctx.Err()
}
