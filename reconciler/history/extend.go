package history

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// share of the known releases that are read one by one, in percent, before reading the whole registry costs less: one
// release alone takes as long as eight of ten thousand together.
const share = 10

// slow is from how many commits on it is worth a word that they are read: some two seconds in a large registry.
const slow = 500

// view brings the index to a tip and gives what leads there. The index follows the branch: of another tip that is no
// descendant of what it holds, a copy of the common part is extended and forgotten.
func (h *History) view(ctx context.Context, tip gitops.Hash) (*view, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.index == nil {
		h.index = h.load()
	}
	if at := h.index.find(tip); at >= 0 {
		return h.index.view(at + 1), nil
	}
	if old, err := h.outdated(ctx); err != nil {
		return nil, err
	} else if old {
		h.index = newIndex()
	}
	steps, common, err := h.fresh(ctx, tip)
	if err != nil {
		return nil, err
	}
	if h.slow != nil && len(steps) >= slow {
		h.slow(len(steps))
	}
	next := h.index.first(common)
	if common == 0 {
		if next.shallow, err = h.source.Shallow(steps[0].commit); err != nil {
			return nil, err
		}
	}
	if err := h.extend(ctx, next, steps); err != nil {
		if ctx.Err() != nil && common == len(h.index.entries) {
			h.index = next // whoever lost patience goes on from here next time
			h.save()
		}
		return nil, err
	}
	if branch, err := h.source.Tip(ctx); common == len(h.index.entries) || err == nil && branch == tip {
		h.index = next
		h.save()
	}
	return next.view(len(next.entries)), nil
}

// outdated says whether another davit wrote the index, one that made other keys of the same files: what it holds could
// not be compared with what is added. The newest change tells.
func (h *History) outdated(ctx context.Context) (bool, error) {
	for _, e := range slices.Backward(h.index.entries) {
		for _, r := range e.records {
			if r.kind != changed || r.version == 0 {
				continue
			}
			snapshot, err := h.source.Snapshot(ctx, e.commit)
			if err != nil {
				return true, ctx.Err() // gc removed what a rewritten branch left behind
			}
			key, _ := registry.ParseKey(h.index.names[r.release])
			models, err := registry.LoadRelease(snapshot, key)
			if err != nil || models.Release(key) == nil {
				return true, nil
			}
			release := models.Release(key)
			now, err := keyOf(release, snapshot)
			return now != r.key, err
		}
	}
	return false, nil
}

// step is a commit to be added.
type step struct {
	commit gitops.Hash
	time   int64
	paths  []string
}

// fresh lists the commits, oldest first, between a tip and the common ones, of which the index holds that many.
func (h *History) fresh(ctx context.Context, tip gitops.Hash) (steps []step, common int, err error) {
	known := make(map[gitops.Hash]int, len(h.index.entries))
	for i, e := range h.index.entries {
		known[e.commit] = i + 1
	}
	err = h.source.FirstParents(ctx, tip, func(c gitops.Commit, paths []string) (bool, error) {
		steps = append(steps, step{c.Hash, c.Committer.When.Unix(), paths})
		if len(c.Parents) > 0 {
			common = known[c.Parents[0]]
		}
		return common == 0, nil
	})
	slices.Reverse(steps)
	return steps, common, err
}

// extender adds commits to an index.
type extender struct {
	*index
	source *gitops.Source
	states []state

	// left is how many releases may still be read one by one. Once the registry was read, Update costs less.
	left   int
	whole  bool
	models *registry.Registry // at the last commit; nil before there is a registry
}

func (h *History) extend(ctx context.Context, x *index, steps []step) error {
	e := &extender{index: x, source: h.source, states: x.states()}
	for i := range e.states {
		if s := &e.states[i]; s.version != 0 || s.broken {
			e.left++
		}
	}
	e.left = e.left * h.share / 100
	e.whole = len(x.entries) == 0
	for _, s := range steps {
		if err := e.add(ctx, s); err != nil {
			return fmt.Errorf("reading the history at %s: %w", s.commit, err)
		}
	}
	return nil
}

func (e *extender) add(ctx context.Context, s step) error {
	snapshot, err := e.source.Snapshot(ctx, s.commit)
	if err != nil {
		return err
	}
	var records []record
	keys, few := e.few(snapshot, s.paths)
	if few {
		records, err = e.one(snapshot, keys)
	} else {
		records, err = e.all(snapshot, s.paths)
	}
	if err != nil {
		return err
	}
	e.entries = append(e.entries, entry{s.commit, s.time, records})
	for _, r := range records {
		apply(e.states, len(e.entries)-1, r)
	}
	return nil
}

// few lists the releases that a commit may have changed, if they are to be read one by one. A release that breaks or
// mends because of another one is not listed, but for those that are known to be broken: while a release is broken
// without having been touched it asks for nothing new.
func (e *extender) few(snapshot fs.FS, paths []string) (keys []registry.Key, few bool) {
	if e.whole {
		return nil, false
	}
	releases, models, shared := registry.Affected(paths)
	if shared {
		return nil, false
	}
	for id := range e.states {
		if s := &e.states[id]; s.version != 0 || s.broken {
			key, _ := registry.ParseKey(e.names[id])
			if s.broken || releases[key.Name] || models[path.Base(e.names[s.model])] {
				keys = append(keys, key)
			}
		}
	}
	environments, _ := fs.ReadDir(snapshot, "environments") // without any there is no release
	for name := range releases {
		for _, env := range environments {
			keys = append(keys, registry.Key{Environment: env.Name(), Name: name})
		}
	}
	slices.SortFunc(keys, compare)
	keys = slices.Compact(keys)
	e.left -= len(keys)
	return keys, e.left >= 0
}

// keyOf is the beginning of a release's input key.
func keyOf(release *registry.Release, fsys fs.FS) (key inputKey, err error) {
	full, err := release.InputKey(fsys)
	if err == nil {
		_, err = hex.Decode(key[:], []byte(full[:2*len(key)]))
	}
	return key, err
}

func compare(a, b registry.Key) int {
	if c := strings.Compare(a.Environment, b.Environment); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// one reads single releases.
func (e *extender) one(snapshot fs.FS, keys []registry.Key) (records []record, err error) {
	for _, key := range keys {
		models, err := registry.LoadRelease(snapshot, key)
		if err != nil && !errors.Is(err, registry.ErrNoRegistry) {
			return nil, err
		}
		records = e.note(records, key, models)
	}
	return records, nil
}

// all reads the registry, or what changed in it since the commit before, and notes what was touched.
func (e *extender) all(snapshot *gitops.Snapshot, paths []string) (records []record, err error) {
	e.whole = true
	var keys []registry.Key
	if e.models == nil {
		e.models, err = registry.Load(snapshot)
		keys = e.known() // some may be gone
	} else {
		e.models, err = e.models.Update(snapshot, paths)
	}
	switch {
	case errors.Is(err, registry.ErrNoRegistry):
		e.models, keys = nil, e.known()
	case err != nil:
		return nil, err
	default:
		keys = append(keys, e.models.Touched()...)
	}
	slices.SortFunc(keys, compare)
	for _, key := range slices.Compact(keys) {
		records = e.note(records, key, e.models)
	}
	return records, nil
}

// known lists the releases there are.
func (e *extender) known() (keys []registry.Key) {
	for id, s := range e.states {
		if s.version != 0 || s.broken {
			key, _ := registry.ParseKey(e.names[id])
			keys = append(keys, key)
		}
	}
	return keys
}

// note adds what a registry says of a release; a nil one has none.
func (e *extender) note(records []record, key registry.Key, models *registry.Registry) []record {
	r := record{release: e.name(key.String())}
	was := e.states[r.release]
	var release *registry.Release
	if models != nil {
		release = models.Release(key)
		if models.Broken[key] != nil {
			r.kind = broken
			return append(records, r)
		}
	}
	if release == nil {
		if was.version == 0 && !was.broken {
			return records
		}
		if was.version == 0 {
			r.kind = same
		}
		return append(records, r)
	}
	var err error
	if r.key, err = keyOf(release, models.FS()); err != nil { // its files are there and can't be listed: nobody can render it
		r.kind = broken
		return append(records, r)
	}
	if r.key == was.key && was.version != 0 {
		return append(records, record{release: r.release, kind: same})
	}
	r.version, r.model = e.name(release.ModelVersion.Name), e.name(path.Dir(path.Dir(release.ModelVersion.Path)))
	return append(records, r)
}

// name is the number of a name, with a state for it.
func (e *extender) name(name string) uint32 {
	id := e.id(name)
	if len(e.states) < len(e.names) {
		e.states = append(e.states, state{})
	}
	return id
}
