package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// followed is one registry: what its clusters show of its releases.
type followed struct {
	Followed
	name    string
	changes *changes
	now     func() time.Time
	past    *history.History
	told    chronicler
	synced  atomic.Bool
	runs    runsNow
	trials  trialsOf
	room    roomNow

	sides kept[render.Output]
	diffs kept[comparison]

	mu     sync.RWMutex
	rows   map[registry.Key]*place
	sorted []*place // by release and environment; nil when one came or went
	view   *status.View
	viewed gitops.Hash // the commit that view is of
}

// place holds the newest row of one release.
type place struct{ atomic.Pointer[Row] }

func newFollowed(name string, of Followed, changes *changes, now func() time.Time) *followed {
	return &followed{
		Followed: of, name: name, changes: changes, now: now, past: history.New(history.Config{Source: of.Source()}), rows: map[registry.Key]*place{},
		sides: kept[render.Output]{most: maxSides}, diffs: kept[comparison]{most: maxDiffs},
	}
}

// watch keeps the rows until ctx ends.
func (f *followed) watch(ctx context.Context) {
	var work sync.WaitGroup
	var lists sync.WaitGroup
	work.Go(func() { f.watchCommits(ctx) })
	for _, c := range f.Clusters() {
		lists.Add(1)
		done := sync.OnceFunc(lists.Done)
		work.Go(func() {
			defer done()
			cluster.WatchReleases(ctx, c, cluster.ReleaseWatch[*Row]{Keep: newRow, Changed: f.set, Gone: f.drop, Synced: done})
		})
		work.Go(func() {
			_ = c.WatchRuns(ctx, func(string, string) { f.changes.tell(Change{Registry: f.name, Runs: true}) })
		})
	}
	lists.Wait()
	f.synced.Store(ctx.Err() == nil)
	f.changes.tell(Change{Registry: f.name})
	if snapshot, _ := f.Registry(); snapshot != nil { // whoever asks first need not wait for all of the history to be read
		_, _ = f.past.Cut(ctx, snapshot.Hash())
	}
	work.Wait()
}

func (f *followed) set(r *Row) {
	if r.owner != f.Owner() { // of another registry in the same namespace, which may have taken it over
		f.drop(r)
		return
	}
	f.mu.Lock()
	if f.rows[r.key] == nil {
		f.rows[r.key], f.sorted = &place{}, nil
	}
	f.rows[r.key].Store(r)
	f.mu.Unlock()
	f.changes.tell(Change{Registry: f.name, Release: r.key})
}

// drop forgets a release, unless it has moved to another namespace meanwhile.
func (f *followed) drop(r *Row) {
	f.mu.Lock()
	now := f.rows[r.key]
	goes := now != nil && now.Load().Namespace == r.Namespace
	if goes {
		delete(f.rows, r.key)
		f.sorted = nil
	}
	f.mu.Unlock()
	if goes {
		f.changes.tell(Change{Registry: f.name, Release: r.key})
	}
}

// all are the releases by name and environment. The list may not be changed.
func (f *followed) all() []*place {
	f.mu.RLock()
	sorted := f.sorted
	f.mu.RUnlock()
	if sorted != nil {
		return sorted
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sorted == nil {
		f.sorted = slices.SortedFunc(maps.Values(f.rows), func(a, b *place) int { return byRelease(a.Load(), b.Load()) })
	}
	return f.sorted
}

// row is the release's; nil when it is not in the cluster.
func (f *followed) row(key registry.Key) *Row {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if p := f.rows[key]; p != nil {
		return p.Load()
	}
	return nil
}

// modelRelease reads a release from its cluster; nil when it is not there.
func (f *followed) modelRelease(ctx context.Context, key registry.Key) (*v1alpha1.ModelRelease, error) {
	r, c := f.row(key), f.Cluster(key.Environment)
	if r == nil || c == nil {
		return nil, nil
	}
	return c.Release(ctx, r.Namespace, key.Environment, key.Name)
}
