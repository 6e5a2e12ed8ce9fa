package reconciler

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// trainings are the runs this process looks after. What it knows is only whom to look at: each look reads the ledger and
// the cluster anew, so that any of them can be the first of a process, or the last.
type trainings struct {
	queue     workqueue.TypedRateLimitingInterface[runKey]
	proposing sync.Mutex
	claiming  sync.Mutex // the next trial of a sweep
	counting  sync.Mutex // from reading the ledger until its GPUs are counted, or a claim by it is made

	mu     sync.Mutex
	hashes map[*registry.Training]string // of the commit followed last
	runs   map[string]runKey             // by namespace/name, as the cluster tells of them
	told   map[runKey]string             // why one does not start, told once
	over   map[runKey]bool               // what ended for good: no commit has it looked at again
	begun  *begun
	refuse map[runKey]int        // how often in a row the forge did not merge what one made
	specs  map[runKey]spec       // of the runs under way: to read a commit's registry again costs seconds
	sweeps map[string]*sweep     // of the commit followed last, by training
	parked map[runKey]bool       // the trials that wait for others of their sweep, which have them looked at
	trials map[trialsKey][]trial // of commits that runs were claimed for
}

// spec is what a run was claimed for: a training, and the tree of that commit. Where the commit is gone, as after a forced
// push, it has no tree, and a training that has no more than what the ledger tells of it.
type spec struct {
	snapshot *gitops.Snapshot
	training *registry.Training
}

// runKey is a run in the environment it belongs to.
type runKey struct{ environment, hash string }

func newTrainings() *trainings {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[runKey](time.Second, time.Minute)
	return &trainings{
		queue: workqueue.NewTypedRateLimitingQueue(limiter), runs: map[string]runKey{}, told: map[runKey]string{}, specs: map[runKey]spec{}, over: map[runKey]bool{},
		begun: newBegun(), refuse: map[runKey]int{}, parked: map[runKey]bool{}, trials: map[trialsKey][]trial{},
	}
}

// lookAtOther is how often a run is looked for that another cluster's controller looks after.
const lookAtOther = 10 * time.Minute

// lookAtRun is how often a run under way is looked at that nothing is heard of: somebody may have canceled it in the
// ledger from elsewhere.
const lookAtRun = 30 * time.Second

// runTrainings looks after the runs until ctx ends.
func (r *Reconciler) runTrainings(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.trainings.queue.ShutDown)
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	for _, s := range r.sites {
		work.Go(func() { r.watchRuns(ctx, s) })
		work.Go(func() { r.resumeKept(ctx, s) })
	}
	work.Go(func() { r.resumeRuns(ctx) })
	work.Go(func() { r.runSchedules(ctx) })
	for range 4 { // most of a look is waiting for Git
		work.Go(func() { r.lookAtRuns(ctx) })
	}
}

// canceledFor is how long a new process makes sure that a canceled run's objects are gone: an earlier one may have ended
// between the ledger's word and their deletion.
const canceledFor = 7 * 24 * time.Hour

func (r *Reconciler) lookAtRuns(ctx context.Context) {
	for {
		key, down := r.trainings.queue.Get()
		if down {
			return
		}
		again, err := r.train(ctx, key)
		r.trainings.begun.looked(key, again, err)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			r.cfg.Log.Warn("a run was not looked after; it is tried again", "environment", key.environment, "run", key.hash[:12], "error", err)
			r.trainings.queue.AddRateLimited(key)
		default:
			r.trainings.queue.Forget(key)
			if again > 0 {
				r.trainings.queue.AddAfter(key, again)
			}
		}
		r.trainings.queue.Done(key)
	}
}

// watchRuns is told of a run's objects; watching begins again when it ends.
func (r *Reconciler) watchRuns(ctx context.Context, s *site) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		if !s.reached(ctx) {
			return
		}
		err := s.cluster.WatchRuns(ctx, func(namespace, run string) {
			r.trainings.mu.Lock()
			key, known := r.trainings.runs[namespace+"/"+run]
			r.trainings.mu.Unlock()
			if known {
				r.trainings.queue.Add(key)
			}
		})
		if ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("runs are not watched; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// reached waits until the site's cluster was reached; false when ctx ends before.
func (s *site) reached(ctx context.Context) bool {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s.watcher.Load() == nil {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// resumeRuns has the runs looked at that an earlier process left: those that have not ended, and those whose version was
// not proposed.
func (r *Reconciler) resumeRuns(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		ledger, err := r.runs.git.Runs(ctx)
		if err == nil {
			r.resume(ledger)
			err = r.resumeMerges(ctx, ledger)
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			return
		}
		r.cfg.Log.Warn("the ledger of runs can't be read, and nothing is trained; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (r *Reconciler) resume(runs map[string]gitops.Run) {
	for hash, run := range runs {
		canceled := run.State == gitops.RunCanceled && time.Since(run.Ended) < canceledFor
		if r.mine(run.Environment) && (!done(run) && run.State != gitops.RunCanceled || canceled) {
			r.trainings.queue.Add(runKey{run.Environment, hash})
		}
	}
}

// trainable has the runs looked at that a commit asks for, and those it does not ask for any more.
func (r *Reconciler) trainable(next *desired) {
	r.schedulable(next)
	hashes, sweeps := map[*registry.Training]string{}, map[string]*sweep{}
	r.trainings.mu.Lock()
	before := r.trainings.hashes
	r.trainings.mu.Unlock()
	asked := map[runKey]bool{}
	for environment := range next.models.Environments {
		if !r.mine(environment) {
			continue
		}
		want := next.of(environment)
		if want == nil {
			continue
		}
		for _, t := range want.models.Trainings {
			if t.Environment.Name != environment || t.Waits() {
				continue
			}
			trials, err := trialsOf(t, want.snapshot)
			if err != nil {
				r.cfg.Log.Warn("a training does not start", "training", t.Key(), "environment", environment, "why", err)
				continue
			}
			for _, trial := range trials {
				hashes[trial.training], asked[runKey{environment, trial.hash}] = trial.hash, true
			}
			if t.Spec.Sweep != nil {
				sweeps[t.Key()] = newSweep(t, trials)
			}
		}
	}
	r.trainings.mu.Lock()
	r.trainings.unpark(hashes, sweeps)
	r.trainings.hashes, r.trainings.sweeps = hashes, sweeps
	r.autoFromNow(before, hashes)
	r.trainings.mu.Unlock()
	for t, hash := range before {
		asked[runKey{t.Environment.Name, hash}] = true // it may have to be canceled
	}
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	for key := range r.trainings.specs {
		asked[key] = true // as may one of an earlier commit that is under way
	}
	for key := range asked {
		if !r.trainings.over[key] && !r.trainings.parked[key] {
			r.trainings.begun.wait(key)
			r.trainings.queue.Add(key)
		}
	}
}

// asks is the training that asks for a run at the commit its environment follows; nil when none does.
func (r *Reconciler) asks(key runKey) (want *desired, t *registry.Training) {
	want = r.wanted(key.environment)
	if want == nil {
		return nil, nil
	}
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	for t, hash := range r.trainings.hashes {
		if hash == key.hash && t.Environment.Name == key.environment {
			return want, t
		}
	}
	return want, nil
}

// named remembers what the cluster calls a run.
func (r *Reconciler) named(key runKey, namespace, name string) {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	r.trainings.runs[namespace+"/"+name] = key
}

// untrained says once why a run does not start, or why nothing is proposed of it.
func (r *Reconciler) untrained(key runKey, t *registry.Training, why string) {
	r.trainings.mu.Lock()
	told := r.trainings.told[key]
	r.trainings.told[key] = why
	r.trainings.mu.Unlock()
	if told != why {
		r.cfg.Log.Warn("a training waits", "training", t.Key(), "environment", key.environment, "why", why)
	}
}

// specOf is what a run was claimed for, where this process has read it.
func (r *Reconciler) specOf(key runKey) (s spec, known bool) {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	s, known = r.trainings.specs[key]
	return s, known
}

// keepSpec remembers that; overRun that nothing is left to be done for the run.
func (r *Reconciler) keepSpec(key runKey, s spec) {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	r.trainings.specs[key] = s
}

func (r *Reconciler) overRun(key runKey) {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	r.trainings.over[key] = true
	delete(r.trainings.specs, key)
}
