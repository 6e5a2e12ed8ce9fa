package fleet

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// Config is what a Fleet works with.
type Config struct {
	// Log receives what can't be read and is tried again; discarded when nil.
	Log *slog.Logger
	// Now is the present; time.Now when nil.
	Now func() time.Time
}

// Followed is a registry that is followed; *reconciler.Reconciler is one.
type Followed interface {
	// Registry is the registry as it was followed last, and the commit it is of; nil before there is one.
	Registry() (*gitops.Snapshot, *registry.Registry)
	Source() *gitops.Source
	// Behind says why the newest commit is not followed, or not by all environments; "" when it is.
	Behind() string
	// Owner is the name by which ModelReleases are this registry's.
	Owner() string
	// Cluster is where an environment is; nil for one that is nowhere.
	Cluster(environment string) *cluster.Cluster
	// Granted says whether an environment may be in a namespace.
	Granted(environment, namespace string) bool
	// Clusters are those of all environments, each once.
	Clusters() []*cluster.Cluster
	// ModelRegistry reads the one that is followed; nil where there is none.
	ModelRegistry(ctx context.Context) *v1alpha1.ModelRegistry
	// Renderer is the one that renders what is applied, with what it keeps.
	Renderer() *render.Renderer
	// CommitURL is where a browser finds a commit; "" where nobody knows.
	CommitURL(commit string) string
	// MentionURL is where a browser finds what a word of a commit's message names on the registry's forge; "" for all else.
	MentionURL(word string) string
	// Floor is the policy of an environment that no file can lower; nil for none.
	Floor(environment string) *registry.Policy
	// Runs are the runs of trainings that began, by their hashes; kept names those whose record a cluster alone has.
	Runs(ctx context.Context) (all map[string]gitops.Run, kept map[string]bool, err error)
	// Quota is how many GPUs an environment may have; the zero value where nothing bounds it.
	Quota(environment string) registry.Quota
}

// Fleet is what several registries serve. All methods are safe for concurrent use.
type Fleet struct {
	cfg     Config
	changes *changes
	rights  *rights

	mu         sync.RWMutex
	registries map[string]*followed
}

// New makes a Fleet of nothing.
func New(cfg Config) *Fleet {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Fleet{cfg: cfg, changes: newChanges(), rights: &rights{now: cfg.Now}, registries: map[string]*followed{}}
}

// Follow has the fleet tell of a registry by a name, until end is called, which waits for its watches. The name of one that
// is followed already is taken over.
func (f *Fleet) Follow(ctx context.Context, name string, registry Followed) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	r := newFollowed(name, registry, f.changes, f.cfg.Now)
	f.mu.Lock()
	f.registries[name] = r
	f.mu.Unlock()
	var work sync.WaitGroup
	work.Go(func() { r.watch(ctx) })
	f.changes.tell(Change{Registry: name})
	return func() {
		cancel()
		work.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.registries[name] == r {
			delete(f.registries, name)
		}
	}
}

// Registries are the names of those that are followed, in order.
func (f *Fleet) Registries() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Sorted(maps.Keys(f.registries))
}

// Ready says that all there was at the beginning is known.
func (f *Fleet) Ready() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, r := range f.registries {
		if !r.synced.Load() {
			return false
		}
	}
	return true
}

// of is a registry by its name; nil when it is not followed.
func (f *Fleet) of(name string) *followed {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.registries[name]
}
