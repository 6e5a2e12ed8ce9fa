package history

import (
	"context"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Config says where a history comes from.
type Config struct {
	Source *gitops.Source
	// Events gives outcomes, those of one note in its order, of all commits or of those that want names when it is not nil; Source's
	// notes when it is nil.
	Events func(ctx context.Context, want map[gitops.Hash]bool) ([]gitops.Noted, error)
	// Slow, if not nil, is called before so many commits are read that it takes a while; it happens once.
	Slow func(commits int)
}

// History is what was, of all branches of one repository. All methods are safe for concurrent use; the first one that
// needs a commit which is not yet in the index waits until it is.
type History struct {
	source *gitops.Source
	events func(ctx context.Context, want map[gitops.Hash]bool) ([]gitops.Noted, error)
	slow   func(commits int)
	file   string // of the index
	// share is how many percent of the known releases are read one by one before the whole registry is.
	share int

	mu    sync.Mutex
	index *index // nil until it is needed
}

// New makes a History; nothing is read yet.
func New(cfg Config) *History {
	h := &History{source: cfg.Source, events: cfg.Events, slow: cfg.Slow, file: fileIn(cfg.Source.Dir(), cfg.Source.Folder()), share: share}
	if h.events == nil {
		h.events = cfg.Source.Events
	}
	return h
}

// Change is a first-parent commit that changed a release: its version or any other of its inputs. While a release was
// broken nothing is known of it; what changed meanwhile is told of the commit that mended it.
type Change struct {
	Release registry.Key
	// Commit is the full hash.
	Commit string
	// When is the committer's time: that of the merge.
	When time.Time
	// From and To are versions: From is empty when the release is new, To when it was removed.
	From, To string
	// FromModel and ToModel are the folders of the models, from the repository's root.
	FromModel, ToModel string
	// Cut says that a shallow clone ends here: the release was as it is told, whether by this commit or an older one.
	Cut bool

	from     string // the commit that From was read at
	position int    // of the commit in the chain
}

// Filter selects changes. The zero Filter selects all.
type Filter struct {
	// Environment, Release and Model are names; empty means any.
	Environment, Release, Model string
	// Since and Until bound When, both inclusive; zero means no bound.
	Since, Until time.Time
	// Limit is how many changes there are at most, the newest; 0 means no limit.
	Limit int
}

func (f Filter) names(key registry.Key) bool {
	return (f.Environment == "" || f.Environment == key.Environment) && (f.Release == "" || f.Release == key.Name)
}

// wants says it of a change made at a time, in Unix seconds, between versions of models in two folders.
func (f Filter) wants(at int64, from, to string) bool {
	return (f.Model == "" || f.Model == path.Base(from) || f.Model == path.Base(to)) &&
		(f.Since.IsZero() || at >= f.Since.Unix()) && (f.Until.IsZero() || at <= f.Until.Unix())
}

// Changes lists the changes that led to a tip, newest first; those of one commit by release. Changes of releases that
// are no more are among them, and a release that moved to another team's folder is the same release.
func (h *History) Changes(ctx context.Context, tip gitops.Hash, f Filter) ([]Change, error) {
	v, err := h.view(ctx, tip)
	if err != nil {
		return nil, err
	}
	return v.changes(f), nil
}

// Cut is the commit a shallow clone ends at on the way to a tip, "" when all of the history is here.
func (h *History) Cut(ctx context.Context, tip gitops.Hash) (string, error) {
	v, err := h.view(ctx, tip)
	if err != nil || !v.shallow {
		return "", err
	}
	return v.entries[0].commit.String(), nil
}

// view is the index up to one tip. It never changes.
type view struct {
	names   []string
	shallow bool
	entries []entry // oldest first
}

// hit is a change in the index.
type hit struct {
	position int
	was      state
	record   record
}

// changes goes from old to new, as what a release came from is the state before.
func (v *view) changes(f Filter) []Change {
	wanted := v.wanted(f)
	states := make([]state, len(v.names))
	var hits []hit
	for i, e := range v.entries {
		from := len(hits)
		for _, r := range e.records {
			if r.kind != changed || !wanted(r.release) {
				continue
			}
			was := states[r.release]
			states[r.release] = state{record: r, at: i}
			if f.wants(e.time, v.names[was.model], v.names[r.model]) {
				hits = append(hits, hit{i, was, r})
			}
		}
		slices.Reverse(hits[from:]) // and with all of them again: within a commit the order of keys stays
	}
	slices.Reverse(hits)
	if f.Limit > 0 {
		hits = hits[:min(f.Limit, len(hits))]
	}
	out := make([]Change, len(hits))
	for i, h := range hits {
		out[i] = v.change(h.position, h.was, h.record)
	}
	return out
}

func (v *view) change(i int, was state, r record) Change {
	e := v.entries[i]
	key, _ := registry.ParseKey(v.names[r.release])
	return Change{
		Release: key, Commit: e.commit.String(), When: time.Unix(e.time, 0),
		From: v.names[was.version], To: v.names[r.version], FromModel: v.names[was.model], ToModel: v.names[r.model],
		Cut: v.shallow && i == 0, from: v.entries[was.at].commit.String(), position: i,
	}
}

// wanted tells by a release's number in the names whether it may be selected, looking at each name once.
func (v *view) wanted(f Filter) func(id uint32) bool {
	if f.Environment == "" && f.Release == "" {
		return func(uint32) bool { return true }
	}
	known := make([]int8, len(v.names))
	return func(id uint32) bool {
		if known[id] == 0 {
			known[id] = -1
			if key, err := registry.ParseKey(v.names[id]); err == nil && f.names(key) {
				known[id] = 1
			}
		}
		return known[id] > 0
	}
}
