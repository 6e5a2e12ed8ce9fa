package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// Config is what a Reconciler works with. Source, Cluster and Images are required.
type Config struct {
	Source  *gitops.Source
	Cluster *cluster.Cluster
	Images  *image.Builder
	// Owner names this registry and controller; a ModelRelease of another owner is not touched.
	Owner string
	// AcceptRewrite lets a commit older than the recorded one be applied, after a forced push or a reset.
	AcceptRewrite bool
	// Workers is how many releases are worked on at once; 64 when zero. Most wait: for an image to be
	// built, or for a turn among the cluster's writers.
	Workers int
	// Log receives one line per failure that is tried again; discarded when nil.
	Log *slog.Logger
	// Report receives each change of a release's phase. It may be called concurrently. May be nil.
	Report func(Report)
}

// Reconciler brings every release of a registry to its cluster and keeps it there.
type Reconciler struct {
	cfg     Config
	desired atomic.Pointer[desired]
	queue   workqueue.TypedRateLimitingInterface[registry.Key]
	watcher *cluster.Watcher

	mu     sync.Mutex
	states map[registry.Key]*state
	// open holds the releases that are queued or not settled, with how often each was queued; idle is
	// closed when it empties.
	open map[registry.Key]int
	idle chan struct{}
}

// New checks cfg.
func New(cfg Config) (*Reconciler, error) {
	if cfg.Source == nil || cfg.Cluster == nil || cfg.Images == nil || cfg.Owner == "" {
		return nil, errors.New("reconciler needs a source, a cluster, images and an owner")
	}
	if cfg.Workers == 0 {
		cfg.Workers = 64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Report == nil {
		cfg.Report = func(Report) {}
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[registry.Key](200*time.Millisecond, time.Minute)
	return &Reconciler{
		cfg: cfg, queue: workqueue.NewTypedRateLimitingQueue(limiter),
		states: map[registry.Key]*state{}, open: map[registry.Key]int{}, idle: make(chan struct{}),
	}, nil
}

// Run follows the source until ctx ends; its error is then nil.
func (r *Reconciler) Run(ctx context.Context) error {
	return r.with(ctx, func(ctx context.Context) error {
		err := r.cfg.Source.Watch(ctx, func(tip gitops.Hash) { r.insist(ctx, tip) })
		if ctx.Err() != nil {
			return nil // asked to end
		}
		return err
	})
}

// insist follows a tip, and while that fails whichever is the tip by then: nobody tells of a commit twice.
func (r *Reconciler) insist(ctx context.Context, tip gitops.Hash) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.follow(ctx, tip)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Log.Error("commit not followed; it is tried again", "commit", tip.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if newer, err := r.cfg.Source.Fetch(ctx); err == nil {
			tip = newer
		}
	}
}

// Once takes the source's tip to the end: every release healthy, failed, rolled back or held. What is not
// settled when ctx ends is named in the error.
func (r *Reconciler) Once(ctx context.Context) error {
	return r.with(ctx, func(ctx context.Context) error {
		tip, err := r.cfg.Source.Fetch(ctx)
		if err != nil {
			return err
		}
		if err := r.follow(ctx, tip); err != nil {
			return err
		}
		select {
		case <-r.settled():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("not settled: %s: %w", strings.Join(r.unsettled(), "; "), ctx.Err())
		}
	})
}

// with recalls what the cluster holds, starts the watches and the workers, runs lead, and ends them all.
func (r *Reconciler) with(ctx context.Context, lead func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.recall(ctx); err != nil {
		return err
	}
	watcher, err := r.cfg.Cluster.Watch(ctx, r.noticed)
	if err != nil {
		return fmt.Errorf("watching the cluster: %w", err)
	}
	r.watcher = watcher
	defer watcher.Stop()
	var workers sync.WaitGroup
	for range r.cfg.Workers {
		workers.Go(func() { r.work(ctx) })
	}
	defer workers.Wait()
	defer r.queue.ShutDown()
	defer cancel()
	return lead(ctx)
}

// recall loads the releases this owner has in the cluster.
func (r *Reconciler) recall(ctx context.Context) error {
	releases, err := r.cfg.Cluster.Releases(ctx)
	if err != nil {
		return err
	}
	for _, mr := range releases {
		if mr.Spec.Owner == r.cfg.Owner {
			r.state(registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}).recall(mr)
		}
	}
	return nil
}

// work takes releases off the queue until it shuts down.
func (r *Reconciler) work(ctx context.Context) {
	for {
		key, down := r.queue.Get()
		if down {
			return
		}
		s, asked := r.state(key), r.asked(key)
		s.work.Lock()
		again, err := r.reconcile(ctx, s)
		s.work.Unlock()
		s.trouble.Store("")
		var stuck *stuckError
		switch {
		case ctx.Err() != nil:
		case errors.As(err, &stuck):
			s.trouble.Store(err.Error())
			r.cfg.Log.Warn("release stopped", "release", key.String(), "why", err)
			r.queue.Forget(key)
			r.close(key, asked)
		case err != nil:
			s.trouble.Store(err.Error())
			r.cfg.Log.Warn("release not reconciled; it is tried again", "release", key.String(), "error", err)
			r.queue.AddRateLimited(key)
		case again > 0:
			r.queue.Forget(key)
			r.queue.AddAfter(key, again)
		default:
			r.queue.Forget(key)
			r.close(key, asked)
		}
		r.queue.Done(key)
	}
}

func (r *Reconciler) enqueue(key registry.Key) {
	r.mu.Lock()
	r.open[key]++
	r.mu.Unlock()
	r.queue.Add(key)
}

// noticed is told by the watches that an object of a release changed; only unsettled releases care.
func (r *Reconciler) noticed(namespace, release string) {
	want := r.desired.Load()
	if want == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for environment := range want.models.Environments { // few; the open releases may be thousands
		key := registry.Key{Environment: environment, Name: release}
		if s := r.states[key]; r.open[key] > 0 && s != nil && s.place.Load() == namespace {
			r.queue.Add(key)
		}
	}
}

func (r *Reconciler) asked(key registry.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[key]
}

// close takes a release as settled, unless it was queued again since asked was read.
func (r *Reconciler) close(key registry.Key, asked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] != asked {
		return
	}
	delete(r.open, key)
	if len(r.open) == 0 {
		close(r.idle)
		r.idle = make(chan struct{})
	}
}

// settled is closed when no release is queued or under way.
func (r *Reconciler) settled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	return r.idle
}

// unsettled says of each open release how it stands.
func (r *Reconciler) unsettled() (lines []string) {
	r.mu.Lock()
	keys := slices.SortedFunc(maps.Keys(r.open), func(a, b registry.Key) int { return strings.Compare(a.String(), b.String()) })
	r.mu.Unlock()
	for _, key := range keys {
		s := r.state(key)
		text := s.trouble.Load()
		s.work.Lock()
		if s.release != nil && text == "" {
			text = strings.TrimSpace(string(s.release.Status.Phase) + " " + s.release.Status.Message)
		}
		s.work.Unlock()
		lines = append(lines, key.String()+": "+text)
	}
	return lines
}

func (r *Reconciler) state(key registry.Key) *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.states[key]
	if s == nil {
		s = &state{key: key}
		r.states[key] = s
	}
	return s
}
