package reconciler

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// schedules are the scheduled trainings this process looks after. What is to be done for one is in Git, in its lock; what is
// known here spares a second look.
type schedules struct {
	queue workqueue.TypedRateLimitingInterface[string]

	mu  sync.Mutex
	all map[string]*scheduled // by the training's key
}

// scheduled is one of them.
type scheduled struct {
	// Guarded by the schedules:
	training *registry.Training
	at       time.Time // when it is looked at next; zero for at once
	queued   bool      // it is being looked at, or is tried again later
	done     time.Time // the schedule's time for which nothing is left to do

	// Of whoever has its key from the queue:
	files   string    // the blobs of the training and its lock
	touched time.Time // when a commit touched those last
	asked   []registry.Dataset
	lock    *registry.Lock // what was asked for came to this
	alone   bool           // no branch proposes a lock
	said    string         // why it waits, as logged last
}

func newSchedules() *schedules {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 10*time.Minute)
	return &schedules{queue: workqueue.NewTypedRateLimitingQueue(limiter), all: map[string]*scheduled{}}
}

// lookAtClock is how often schedules are held against the clock. It is looked at, and no timer set for hours: timers stand
// still while a machine sleeps, and know nothing of a clock that was set.
const lookAtClock = time.Second

// runSchedules has the datasets of scheduled trainings locked at their times until ctx ends.
func (r *Reconciler) runSchedules(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.schedules.queue.ShutDown)
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	for range 4 { // most of a look is waiting for who has the data
		work.Go(func() { r.lookAtSchedules(ctx) })
	}
	clock := time.NewTicker(lookAtClock)
	defer clock.Stop()
	for {
		r.schedules.ring(r.cfg.Now())
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
	}
}

// ring queues those whose time has come.
func (s *schedules) ring(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.all {
		if !e.queued && !e.at.After(now) {
			e.queued = true
			s.queue.Add(key)
		}
	}
}

// schedulable takes over which trainings a commit schedules: those of this controller's environments that follow it.
func (r *Reconciler) schedulable(next *desired) {
	s := r.schedules
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.all {
		if t := next.models.Trainings[key]; t == nil || !r.schedulesHere(next, t) {
			delete(s.all, key)
		}
	}
	for key, t := range next.models.Trainings {
		if !r.schedulesHere(next, t) {
			continue
		}
		e := s.all[key]
		if e == nil {
			s.all[key] = &scheduled{training: t}
			continue
		}
		if e.training != t {
			if !reflect.DeepEqual(e.training.Spec, t.Spec) {
				e.done = time.Time{}
			}
			e.training, e.at = t, time.Time{}
		}
	}
}

func (r *Reconciler) schedulesHere(next *desired, t *registry.Training) bool {
	environment := t.Environment.Name
	_, late := next.behind[environment]
	return t.Spec.Schedule != nil && !late && r.mine(environment) && r.trainsNothing(environment) == ""
}

func (r *Reconciler) lookAtSchedules(ctx context.Context) {
	s := r.schedules
	for {
		key, down := s.queue.Get()
		if down {
			return
		}
		s.mu.Lock()
		e := s.all[key]
		s.mu.Unlock()
		if e != nil {
			r.lookedAt(ctx, key, e)
		}
		s.queue.Done(key)
	}
}

// lookedAt looks at one and says when the next look is.
func (r *Reconciler) lookedAt(ctx context.Context, key string, e *scheduled) {
	s := r.schedules
	want := r.desired.Load()
	t := want.models.Trainings[key]
	if t == nil || !r.schedulesHere(want, t) {
		return // it goes with the commit that is just being followed
	}
	next, err := r.schedule(ctx, want, t, e)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, gitops.ErrMoved): // the commit on its way here may change the training
		r.cfg.Source.Notify()
		s.queue.AddAfter(key, company)
	case err != nil:
		r.unscheduled(t, e, err.Error())
		s.queue.AddRateLimited(key)
	default:
		s.queue.Forget(key)
		s.mu.Lock()
		defer s.mu.Unlock()
		if e.queued = false; e.training == t {
			e.at = next
		}
	}
}

// unscheduled says once why a training is not locked.
func (r *Reconciler) unscheduled(t *registry.Training, e *scheduled, why string) {
	if e.said != why {
		e.said = why
		r.cfg.Log.Warn("a training's datasets are not locked", "training", t.Key(), "environment", t.Environment.Name, "why", why)
	}
}

// schedule has a training locked for the latest of its schedule's times, if that is to be: those before it, which nobody
// was there for, count as this one. It returns when to look again. Any look can be a process' first or last: a lock that is
// committed tells its time, and one that would be the same is not committed.
func (r *Reconciler) schedule(ctx context.Context, want *desired, t *registry.Training, e *scheduled) (next time.Time, err error) {
	now := r.cfg.Now()
	tick, next := t.Spec.Schedule.Last(now), t.Spec.Schedule.Next(now)
	if next.IsZero() {
		next = now.Add(24 * time.Hour)
	}
	since, err := r.lockedSince(ctx, want, t, e)
	if err != nil || !tick.After(since) || r.schedules.isDone(e, tick) {
		return next, err
	}
	why := r.mayNotTrain(t)
	if r.cfg.Committer == nil {
		why = "what it is trained on is kept in Git, and this controller writes nothing there"
	}
	if why != "" {
		r.unscheduled(t, e, why)
		return next, nil
	}
	lock, err := r.resolve(ctx, want, t, e, tick)
	if err != nil {
		return next, err
	}
	if t.Lock != nil && t.Spec.Schedule.Same(t.Lock, lock) {
		err = r.withdrawLock(ctx, t, e)
	} else {
		err = r.commitLock(ctx, want, t, e, lock)
	}
	if errors.Is(err, gitops.ErrReadOnly) {
		r.unscheduled(t, e, "the repository can't be written to, and what it is trained on is kept there: "+line(err.Error()))
		return now.Add(lookAtOther), nil
	}
	if err != nil {
		return next, err
	}
	e.said = ""
	r.schedules.finish(e, tick)
	return next, nil
}

func (s *schedules) isDone(e *scheduled, tick time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !tick.After(e.done)
}

func (s *schedules) finish(e *scheduled, tick time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.done = tick
}

// lockedSince is after when a schedule's time has something locked: the lock's own time, and without a lock that fits the
// time of the newest first-parent commit that touched the training or its lock, by its committer: the training waits for
// its next time. That is the merge, where a merge brought it; and Git has it for every process and every controller alike.
func (r *Reconciler) lockedSince(ctx context.Context, want *desired, t *registry.Training, e *scheduled) (time.Time, error) {
	if t.Locked() {
		return t.Lock.Tick, nil
	}
	files := ""
	for _, name := range []string{t.Path, t.LockPath()} {
		blob, err := registry.BlobHash(want.snapshot, name)
		if err != nil {
			return time.Time{}, err
		}
		files += blob + " "
	}
	if e.files == files {
		return e.touched, nil
	}
	touched := r.cfg.Now()
	err := r.cfg.Source.FirstParents(ctx, want.snapshot.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		if !slices.Contains(paths, t.Path) && !slices.Contains(paths, t.LockPath()) {
			return true, nil
		}
		touched = c.Committer.When
		return false, nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for the commit that scheduled %s: %w", t.Key(), err)
	}
	e.files, e.touched = files, touched
	return touched, nil
}

// resolve finds out what the datasets are. It is asked once for each of the schedule's times, however often the commit of it
// is tried: to hash a large file takes an hour.
func (r *Reconciler) resolve(ctx context.Context, want *desired, t *registry.Training, e *scheduled, tick time.Time) (*registry.Lock, error) {
	asked := t.DatasetsAt(tick)
	if e.lock != nil && e.lock.Tick.Equal(tick) && slices.Equal(e.asked, asked) {
		return e.lock, nil
	}
	lock := &registry.Lock{Tick: tick}
	for i, d := range asked {
		now, err := r.cfg.Images.ResolveDatasetIn(ctx, want.snapshot, d, r.access(t.Environment.Name))
		if err != nil {
			return nil, fmt.Errorf("finding out what dataset %q is now: %w", d.Name, err)
		}
		lock.Datasets = append(lock.Datasets, registry.LockedDataset{Name: d.Name, From: t.Spec.Datasets[i].URI, URI: now.URI, SHA256: now.SHA256})
	}
	e.asked, e.lock = asked, lock
	return lock, nil
}

// relocked says whether the followed commit asks for another run only because davit locked other datasets since: that
// removes and changes no spec.
func (r *Reconciler) relocked(x *running) bool {
	want := r.wanted(x.Environment)
	now := want.models.Trainings[x.Training]
	if now == nil || now.Spec.Schedule == nil {
		return false
	}
	as := *now
	if as.Lock = x.training.Lock; !as.Locked() {
		return false
	}
	hash, err := as.RunHash(want.snapshot)
	return err == nil && hash == x.Hash
}
