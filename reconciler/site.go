package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// site is one cluster with a queue, workers and watches of its own, so that one out of reach delays no other.
type site struct {
	cluster      *cluster.Cluster
	environments []string // all when empty
	events       chan func(context.Context)
	eventsMu     sync.RWMutex // guards eventsEnded
	eventsEnded  bool
	queue        workqueue.TypedRateLimitingInterface[registry.Key]
	order        *order                          // of the queue
	pulse        pulse                           // of the workers
	watcher      atomic.Pointer[cluster.Watcher] // nil while the cluster is out of reach
	known        atomic.Bool                     // what the cluster holds was recalled
}

func newSite(c *cluster.Cluster) *site {
	queue, order := newQueue()
	return &site{cluster: c, events: make(chan func(context.Context), maxEvents), queue: queue, order: order}
}

// maxEvents are how many Events may wait to be written; the status says the same as those that find no room.
const maxEvents = 1024

// event has an Event written on a release, after whatever matters more. What errands tell when the site has ended is told
// by the status alone.
func (s *site) event(mr *v1alpha1.ModelRelease, typ, reason, message string) {
	s.eventsMu.RLock()
	defer s.eventsMu.RUnlock()
	if s.eventsEnded {
		return
	}
	select {
	case s.events <- func(ctx context.Context) { s.cluster.Event(ctx, mr, typ, reason, message) }:
	default:
	}
}

func (s *site) endEvents() {
	s.eventsMu.Lock()
	defer s.eventsMu.Unlock()
	s.eventsEnded = true
	close(s.events)
}

// How long the API server may take for an Event, and from ctx's end on for each that is left: the end waits for them.
const eventTime, lastEventTime = 30 * time.Second, 2 * time.Second

// record writes the Events until there are no more; also those that came before ctx ended.
func (s *site) record(ctx context.Context) {
	for write := range s.events {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTime)
		stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastEventTime, cancel) })
		write(limited)
		stop()
		cancel()
	}
}

// start starts the site's workers, which end with ctx; stop waits for them. The one cluster of a reconciler without
// grants must be reachable; others may come later.
func (r *Reconciler) start(ctx context.Context, s *site) (stop func(), err error) {
	var workers, recorder sync.WaitGroup
	recorder.Go(func() { s.record(ctx) })
	stop = func() {
		s.queue.ShutDown()
		workers.Wait()
		s.endEvents()
		recorder.Wait()
		if w := s.watcher.Load(); w != nil {
			w.Stop()
		}
	}
	if r.cfg.Cluster != nil {
		err = r.connect(ctx, s)
	} else {
		workers.Go(func() { r.reach(ctx, s) })
	}
	for range r.cfg.Workers {
		workers.Go(func() { r.work(ctx, s) })
	}
	return stop, err
}

// connect recalls what the site's cluster holds and starts its watches.
func (r *Reconciler) connect(ctx context.Context, s *site) error {
	if err := r.entitled(ctx, s); err != nil {
		return err
	}
	if err := r.recall(ctx, s); err != nil {
		return err
	}
	s.known.Store(true)
	if r.cfg.Notes != nil {
		outcomes, keys := r.outcomes(s)
		r.aside.Go(func() { r.recollect(ctx, outcomes, keys) })
	}
	watcher, err := s.cluster.Watch(ctx, func(namespace, release string) { r.noticed(s, namespace, release) })
	if err != nil {
		return fmt.Errorf("watching the cluster: %w", err)
	}
	watcher.Track(r.held(s)...)
	if err := watcher.Wait(ctx); err != nil {
		watcher.Stop()
		return err
	}
	s.watcher.Store(watcher)
	return nil
}

// held lists the kinds of the objects that the site's releases hold.
func (r *Reconciler) held(site *site) []schema.GroupKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := map[schema.GroupKind]bool{}
	for key, s := range r.states {
		if s.release == nil || r.site(key.Environment) != site {
			continue
		}
		for _, ref := range s.release.Status.Inventory {
			kinds[ref.GroupKind()] = true
		}
	}
	return slices.Collect(maps.Keys(kinds))
}

// missed queues the releases whose objects somebody changed while no controller watched: the watches tell of what
// comes after their first lists only. One that is being worked on is queued too: a build may take hours, and no commit
// waits for it.
func (r *Reconciler) missed() {
	for _, s := range r.all() {
		site := r.site(s.key.Environment)
		if site == nil || site.watcher.Load() == nil {
			continue
		}
		drifted := true
		if s.work.TryLock() {
			drifted = s.release != nil && len(site.watcher.Load().Drifted(s.release)) > 0
			r.remind(s)
			s.work.Unlock()
		}
		if drifted {
			r.enqueue(s.key)
		}
	}
}

// reach connects, however often it takes, and then queues what waited for it.
func (r *Reconciler) reach(ctx context.Context, s *site) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := r.connect(ctx, s)
		if ctx.Err() == nil {
			r.connected(s, err)
		}
		if err == nil {
			break
		}
		r.cfg.Log.Error("cluster not reachable; it is tried again", "environments", s.environments, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	r.following.Lock()
	defer r.following.Unlock()
	want := r.desired.Load()
	if want == nil {
		return
	}
	next := *want
	next.refused = r.guard(&next) // there are releases now that nobody knew of
	next.behind = maps.Clone(next.behind)
	for name, b := range next.behind {
		if b.at != nil {
			at := *b.at
			at.refused = r.guard(&at)
			next.behind[name] = behind{at: &at, why: b.why}
		}
	}
	r.desired.Store(&next)
	for _, key := range append(r.changed(&next, nil), r.waiting(s)...) {
		if r.site(key.Environment) == s {
			r.enqueue(key)
		}
	}
	for _, other := range r.all() { // how long something was healthy here may let others go on
		if b := other.back.Load(); b != nil && b.reason == ReasonGateClosed {
			r.enqueue(other.key)
		}
	}
	r.missed()
}

// recall loads the releases this owner has in the site's cluster.
func (r *Reconciler) recall(ctx context.Context, s *site) error {
	releases, err := s.cluster.Releases(ctx)
	if err != nil {
		return err
	}
	for _, mr := range releases {
		env := mr.Spec.Environment
		if mr.Spec.Owner == r.cfg.Owner && r.mine(env) && r.site(env) == s {
			state := r.state(registry.Key{Environment: env, Name: mr.Spec.Release})
			state.work.Lock()
			state.recall(mr)
			state.work.Unlock()
		}
	}
	return nil
}

// work takes releases off the site's queue until it shuts down.
func (r *Reconciler) work(ctx context.Context, site *site) {
	for {
		key, down := site.queue.Get()
		if down {
			return
		}
		site.pulse.beats()
		s, asked := r.state(key), r.asked(key)
		s.work.Lock()
		again, err := r.reconcile(ctx, site, s)
		s.halted(again, err)
		s.work.Unlock()
		r.after(ctx, site, s, asked, again, err)
		site.queue.Done(key)
		site.pulse.beats()
	}
}

// after decides when a release is looked at again.
func (r *Reconciler) after(ctx context.Context, site *site, s *state, asked int, again time.Duration, err error) {
	was := s.trouble.Load()
	s.trouble.Store("")
	var stuck *stuckError
	var kept *backError
	var parked *parkedError
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errNotItsTurn):
		site.queue.Forget(s.key)
		r.close(s.key, asked)
	case errors.As(err, &kept):
		s.trouble.Store(kept.why)
		site.queue.Forget(s.key)
		r.close(s.key, asked)
		if !kept.until.IsZero() {
			site.queue.AddAfter(s.key, max(kept.until.Sub(r.cfg.Now()), time.Second))
		}
	case errors.As(err, &parked):
		s.trouble.Store(parked.why)
		site.queue.Forget(s.key)
	case errors.As(err, &stuck):
		s.trouble.Store(err.Error())
		if was != err.Error() {
			r.cfg.Log.Warn("release stopped", "release", s.key.String(), "why", err)
		}
		site.queue.Forget(s.key)
		r.close(s.key, asked)
	case err != nil:
		s.trouble.Store(err.Error())
		r.cfg.Metrics.Retried()
		if was != err.Error() { // not for each try
			r.cfg.Log.Warn("release not reconciled; it is tried again", "release", s.key.String(), "error", err)
		}
		site.queue.AddRateLimited(s.key)
	case again > 0:
		site.queue.Forget(s.key)
		site.queue.AddAfter(s.key, again)
	default:
		site.queue.Forget(s.key)
		r.close(s.key, asked)
	}
	if was == "" && s.trouble.Load() != "" {
		r.passed(s) // those that come after it have the GPUs it wanted
	}
}

// noticed is told by the watches that an object of a release changed, or its ModelRelease's spec.
func (r *Reconciler) noticed(site *site, namespace, release string) {
	want := r.desired.Load()
	if want == nil {
		return
	}
	environments := site.environments // also those that a commit takes away that is not followed
	if len(environments) == 0 {
		environments = slices.Collect(maps.Keys(want.models.Environments))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, environment := range environments { // few; the releases may be thousands
		key := registry.Key{Environment: environment, Name: release}
		if s := r.states[key]; s != nil && s.place.Load() == namespace {
			r.interrupt(site, s)
			site.queue.Add(key)
		}
	}
}

// interrupt ends the building of an image for a release of which a person asks something else meanwhile. It needs r.mu.
func (r *Reconciler) interrupt(site *site, s *state) {
	b, watcher := s.build.Load(), site.watcher.Load()
	if b != nil && b.release != nil && watcher != nil && watcher.Generation(b.release) > b.release.Generation {
		r.open[s.key]++ // it is not settled by that
		b.cancel()
	}
}
