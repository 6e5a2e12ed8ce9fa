package reconciler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// trial is what one run is made of: a combination of a sweep, or all of a training without one.
type trial struct {
	training *registry.Training
	hash     string
}

// sweep is a training with the trials that a commit asks for, in their order.
type sweep struct {
	of     *registry.Training
	trials []trial
	order  map[string]int // by hash
	// judged is another as soon as its trials are held against others, or otherwise.
	judged string
}

// trialsOf are a training's trials and their hashes; a training without a sweep is its own.
func trialsOf(t *registry.Training, fsys fs.FS) (all []trial, err error) {
	for _, training := range t.Trials() {
		hash, err := training.RunHash(fsys)
		if err != nil {
			return nil, err
		}
		all = append(all, trial{training, hash})
	}
	return all, nil
}

func newSweep(t *registry.Training, trials []trial) *sweep {
	s := &sweep{of: t, trials: trials, order: map[string]int{}}
	b := fmt.Appendf(nil, "%q %q %d", t.Spec.Sweep.Metric, t.Spec.Sweep.Goal, t.Spec.Sweep.Parallel)
	for i, trial := range trials {
		s.order[trial.hash] = i
		b = append(b, trial.hash...)
	}
	sum := sha256.Sum256(b)
	s.judged = hex.EncodeToString(sum[:])
	return s
}

func (s *sweep) key(t trial) runKey { return runKey{s.of.Environment.Name, t.hash} }

// next are the trials that may begin now, in their order: as many as the runs of the training leave room for, those of an
// earlier spec with them.
func (s *sweep) next(ledger map[string]gitops.Run) (all []runKey) {
	free := len(s.trials)
	if p := s.of.Spec.Sweep.Parallel; p > 0 {
		free = p - runsUnderWay(ledger, s.of)
	}
	for _, t := range s.trials {
		if _, there := ledger[t.hash]; !there && len(all) < free {
			all = append(all, s.key(t))
		}
	}
	return all
}

func runsUnderWay(ledger map[string]gitops.Run, t *registry.Training) (n int) {
	for _, run := range ledger {
		if run.Training == t.Key() && run.Environment == t.Environment.Name && !run.State.Ended() {
			n++
		}
	}
	return n
}

// claimTrial is claimRun for what is no trial, and for a trial once its sweep has room for it. Between the look at the
// ledger and the claim no other of this process claims one. Among several controllers of an environment the limit holds
// too, however old what they read is by the time they claim: a trial begins where there is room for it and for all before
// it that nobody had claimed, so that of those under way the last one counted all others. It does not for as long as they
// follow commits with other sweeps.
func (r *Reconciler) claimTrial(ctx context.Context, key runKey, want *desired, t *registry.Training) (run gitops.Run, again time.Duration, err error) {
	if t.TrialOf == nil || t.TrialOf.Spec.Sweep.Parallel == 0 {
		run, err = r.claimRun(ctx, key, want, t)
		return run, 0, err
	}
	r.trainings.claiming.Lock()
	defer r.trainings.claiming.Unlock()
	ledger, err := r.runs.Runs(ctx)
	if err != nil {
		return run, 0, err
	}
	s := r.sweepWith(key)
	if s == nil {
		return run, time.Second, nil // another commit is followed by now
	}
	if slices.Contains(s.next(ledger), key) {
		run, err = r.claimRun(ctx, key, want, t)
		return run, 0, err
	}
	parallel := s.of.Spec.Sweep.Parallel
	r.tellOnce(runKey{key.environment, s.of.Key() + " parallel"}, fmt.Sprint(parallel), func() {
		r.cfg.Log.Info("trials of a sweep wait for others to end", "training", s.of.Key(), "environment", key.environment, "trials", len(s.trials), "parallel", parallel)
	})
	if first := slices.IndexFunc(s.trials, func(t trial) bool { _, there := ledger[t.hash]; return !there }); first >= 0 && s.key(s.trials[first]) == key {
		return run, lookAtRun, nil // the end that makes room may be one that nobody tells of here
	}
	r.park(key)
	return run, 0, nil
}

// sweepWith is the sweep that asks for a run, at the commit followed; nil for none.
func (r *Reconciler) sweepWith(key runKey) *sweep {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	for _, s := range r.trainings.sweeps {
		if _, there := s.order[key.hash]; there && s.of.Environment.Name == key.environment {
			return s
		}
	}
	return nil
}

// park keeps commits from having a trial looked at that waits for others of its sweep.
func (r *Reconciler) park(key runKey) {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	r.trainings.parked[key] = true
	delete(r.trainings.specs, key)
}

// unpark has those looked at again that a new commit holds against others than the one before, or asks for by themselves,
// or not any more. It needs t.mu.
func (t *trainings) unpark(hashes map[*registry.Training]string, sweeps map[string]*sweep) {
	before, now := judgedBy(t.hashes, t.sweeps), judgedBy(hashes, sweeps)
	for _, keys := range []map[runKey]string{before, now} {
		for key := range keys {
			if before[key] != now[key] {
				delete(t.parked, key)
			}
		}
	}
}

// judgedBy tells by which trials each run is judged that is asked for.
func judgedBy(hashes map[*registry.Training]string, sweeps map[string]*sweep) map[runKey]string {
	all := map[runKey]string{}
	for t, hash := range hashes {
		by := "alone"
		if s := sweeps[t.Key()]; t.TrialOf != nil && s != nil {
			by = s.judged
		}
		all[runKey{t.Environment.Name, hash}] = by
	}
	return all
}

// tellOnce tells what is so until something else is.
func (r *Reconciler) tellOnce(about runKey, what string, tell func()) {
	r.trainings.mu.Lock()
	told := r.trainings.told[about]
	r.trainings.told[about] = what
	r.trainings.mu.Unlock()
	if told != what {
		tell()
	}
}

// trialsKey is a training at a commit.
type trialsKey struct {
	commit   gitops.Hash
	training string
}

// maxCommits bounds the commits whose trials are remembered: those of one sweep are few, and a thousand looks at them need
// their hashes.
const maxCommits = 64

// trialsAt are a training's trials at a commit; none where that has no such training. It loads the registry where models is
// nil, once for all runs that were claimed for the commit.
func (r *Reconciler) trialsAt(snapshot *gitops.Snapshot, models *registry.Registry, training string) ([]trial, error) {
	key := trialsKey{snapshot.Hash(), training}
	r.trainings.mu.Lock()
	all, known := r.trainings.trials[key]
	r.trainings.mu.Unlock()
	if known {
		return all, nil
	}
	var err error
	if models == nil {
		if models, err = registry.Load(snapshot); err != nil {
			return nil, err
		}
	}
	if t := models.Trainings[training]; t != nil {
		if all, err = trialsOf(t, snapshot); err != nil {
			return nil, err
		}
	}
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	if len(r.trainings.trials) >= maxCommits {
		clear(r.trainings.trials)
	}
	r.trainings.trials[key] = all
	return all, nil
}
