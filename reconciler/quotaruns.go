package reconciler

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// runGPUs is what a run under way takes, or is to take. Which team it counts for the registry says.
type runGPUs struct {
	training string
	gpus     int
}

// readRuns reads the ledger, and counts the GPUs of what is under way by it.
func (r *Reconciler) readRuns(ctx context.Context) (map[string]gitops.Run, error) {
	r.trainings.counting.Lock() // or an older ledger would be counted after a newer one, or after a claim
	defer r.trainings.counting.Unlock()
	ledger, err := r.runs.Runs(ctx)
	if err != nil {
		return nil, err
	}
	now := map[runKey]runGPUs{}
	for hash, run := range ledger {
		if run.GPUs > 0 && !run.State.Ended() {
			now[runKey{run.Environment, hash}] = runGPUs{run.Training, run.GPUs}
		}
	}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	r.quotas.read = true
	before := r.quotas.runs
	r.quotas.runs = now
	for key := range now {
		if _, was := before[key]; !was {
			r.recount(key.environment)
		}
	}
	for key := range before {
		if _, is := now[key]; !is {
			r.recount(key.environment)
			r.wakeEnvironment(key.environment)
		}
	}
	return ledger, nil
}

// recount has an environment's GPUs counted anew when they are looked at next. It needs quotas.mu.
func (r *Reconciler) recount(environment string) {
	if l := r.quotas.of[environment]; l != nil {
		l.want = nil
	}
}

// wakeEnvironment lets go on what waits for GPUs of an environment, releases and runs. It needs quotas.mu.
func (r *Reconciler) wakeEnvironment(environment string) {
	if l := r.quotas.of[environment]; l != nil {
		r.wakeQuota(l)
	}
	r.wakeRuns()
}

// wakeRuns has the runs looked at again that wait for GPUs. It needs quotas.mu.
func (r *Reconciler) wakeRuns() {
	for key := range r.quotas.waits {
		r.trainings.queue.Add(key)
	}
	clear(r.quotas.waits) // who is refused again waits again
}

// endedRun gives back what a run had.
func (r *Reconciler) endedRun(key runKey) {
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	if _, had := r.quotas.runs[key]; had {
		delete(r.quotas.runs, key)
		r.recount(key.environment)
		r.wakeEnvironment(key.environment)
	}
}

// knowRuns counts the runs that an earlier process left, before the first release takes GPUs. A ledger that can't be read
// starts no run, and stops no release.
func (r *Reconciler) knowRuns(ctx context.Context, environment string) {
	r.quotas.mu.Lock()
	known := r.quotas.read
	r.quotas.mu.Unlock()
	if known || r.trainsNothing(environment) != "" {
		return
	}
	if _, err := r.readRuns(ctx); err != nil {
		r.cfg.Log.Warn("the GPUs of runs are not counted: the ledger of runs can't be read", "environment", environment, "error", err)
	}
}

// countRuns adds what an environment's runs take to its count. It needs quotas.mu.
func (r *Reconciler) countRuns(l *ledger, environment string) {
	for key, run := range r.quotas.runs {
		if key.environment != environment {
			continue
		}
		team := ""
		if name, _, _ := strings.Cut(run.training, "/"); l.want.models.Models[name] != nil {
			team = l.want.models.Models[name].Team
		}
		l.add(team, run.gpus)
		l.most += run.gpus
		l.mosts[team] += run.gpus
	}
}

// takeForRun lets a run that is about to be claimed have its GPUs, or says why there are too few. Those that a commit asked
// for earlier come first. It needs trainings.counting, and counted what is in the ledger.
func (r *Reconciler) takeForRun(ctx context.Context, key runKey, want *desired, t *registry.Training, claimed map[string]gitops.Run) (why string, err error) {
	quota, asks := r.quotaOf(t.Environment), t.GPUs()
	if asks == 0 {
		return "", nil
	}
	var earlier []*registry.Training
	if !unbounded(quota) {
		if earlier, err = r.askedEarlier(ctx, key, want, t, claimed); err != nil {
			return "", err
		}
	}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	if !unbounded(quota) {
		l := r.ledger(want, t.Environment.Name)
		if why = l.overAfter(quota, earlier, t); why != "" {
			r.quotas.waits[key] = true
			return why, nil
		}
		l.add(t.Team, asks)
	}
	delete(r.quotas.waits, key)
	r.quotas.runs[key] = runGPUs{t.Key(), asks}
	return "", nil
}

// overAfter says which bound a run goes beyond once others have what they ask for; those aside that have it never, or not
// before something of their own team ends.
func (l *ledger) overAfter(quota registry.Quota, others []*registry.Training, t *registry.Training) string {
	planned := &ledger{all: l.all, teams: maps.Clone(l.teams)}
	for _, other := range others {
		bound, bounded := quota.Of(other.Team)
		never := quota.GPUs > 0 && other.GPUs() > quota.GPUs
		if !never && (!bounded || planned.teams[other.Team]+other.GPUs() <= bound) {
			planned.add(other.Team, other.GPUs())
		}
	}
	return planned.over(quota, wishOf(t))
}

func wishOf(t *registry.Training) wish {
	return wish{name: "the training " + t.Key(), team: t.Team, environment: t.Environment.Name, more: t.GPUs(), all: t.GPUs()}
}

// askedEarlier are the trainings of the same environment that wait for their runs to start, and that a commit asked for
// before this one, or with it and first by name.
func (r *Reconciler) askedEarlier(ctx context.Context, key runKey, want *desired, t *registry.Training, claimed map[string]gitops.Run) ([]*registry.Training, error) {
	waiting := map[string]*registry.Training{} // by the file that asks
	r.trainings.mu.Lock()
	for other, hash := range r.trainings.hashes {
		if _, there := claimed[hash]; !there && other.Environment.Name == key.environment && hash != key.hash && other.GPUs() > 0 {
			waiting[other.Path] = other
		}
	}
	r.trainings.mu.Unlock()
	maps.DeleteFunc(waiting, func(_ string, other *registry.Training) bool { return r.mayNotTrain(other) != "" })
	if len(waiting) == 0 {
		return nil, nil
	}
	waiting[t.Path] = t
	order, err := r.askedFirst(ctx, want, waiting)
	return order[:max(0, slices.Index(order, t))], err
}

// farBack is how many commits are looked at for those that asked for trainings; the others were long ago.
const farBack = 1000

// askedFirst orders trainings by the commits that touched their files last, the oldest first.
func (r *Reconciler) askedFirst(ctx context.Context, want *desired, all map[string]*registry.Training) ([]*registry.Training, error) {
	ago, past := map[*registry.Training]int{}, 0
	err := r.cfg.Source.FirstParents(ctx, want.snapshot.Hash(), func(_ gitops.Commit, paths []string) (bool, error) {
		for _, name := range paths {
			if t := all[name]; t != nil && ago[t] == 0 {
				ago[t] = past + 1
			}
		}
		past++
		return len(ago) < len(all) && past < farBack, nil
	})
	for _, t := range all {
		if ago[t] == 0 {
			ago[t] = farBack + 1
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *registry.Training) int {
		return cmp.Or(ago[b]-ago[a], strings.Compare(a.Key(), b.Key()))
	}), err
}
