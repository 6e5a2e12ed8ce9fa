package runs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// Known is what is known of runs.
type Known struct {
	// Models are the files.
	Models *registry.Registry
	// Ledger are the runs that began, by their hashes, those that clusters keep among them.
	Ledger map[string]gitops.Run
	// Kept says of a hash that a cluster alone keeps its record.
	Kept func(hash string) bool
	// Live are the runs in clusters.
	Live []cluster.RunStatus
	Now  time.Time
	// Trials are the runs that a training asks for; [Trials] when nil.
	Trials func(*registry.Training) ([]Trial, error)
}

// Trial is a run that a training asks for: one of its sweep's, or its only one.
type Trial struct {
	Hash   string
	Values map[string]string // nil where there is no sweep
}

// Trials hashes what a training asks for. It reads the training's own Component from the registry's tree.
func Trials(models *registry.Registry, t *registry.Training) (all []Trial, err error) {
	for _, trial := range t.Trials() {
		hash, err := trial.RunHash(models.FS())
		if err != nil {
			return nil, err
		}
		all = append(all, Trial{hash, trial.Values()})
	}
	return all, nil
}

// All are the runs newest first; what was not started is newer than all.
func (k *Known) All() ([]Run, error) {
	all, seen := []Run{}, map[string]bool{}
	live := map[string][]cluster.RunStatus{}
	for _, l := range k.Live {
		key := l.Training + " " + l.Name
		live[key] = append(live[key], l)
	}
	for _, run := range k.Ledger {
		r, key := fromLedger(run), run.Training+" "+run.Name
		r.Kept = k.Kept != nil && k.Kept(run.Hash)
		for _, l := range live[key] {
			r.add(l)
		}
		all, seen[key] = append(all, r), true
	}
	for _, l := range k.Live {
		if key := l.Training + " " + l.Name; !seen[key] {
			r := Run{Run: l.Name, Training: l.Training, Environment: l.Environment, Claimed: l.Created}
			r.add(l)
			all, seen[key] = append(all, r), true
		}
	}
	values := map[string]map[string]string{}
	for _, t := range k.Models.Trainings {
		if t.Waits() {
			all = append(all, scheduled(t, k.Now))
			continue
		}
		asked, err := k.asked(t)
		if err != nil {
			return nil, err
		}
		for _, r := range asked {
			values[r.Training+" "+r.Run] = r.Trial
			if _, ran := k.Ledger[r.Hash]; !ran && !seen[t.Key()+" "+r.Run] {
				all = append(all, r)
			}
		}
	}
	for i, r := range all { // runs that were claimed for no sweep, or live ones that the ledger here does not have
		if r.Trial == nil {
			all[i].Trial = values[r.Training+" "+r.Run]
		}
	}
	slices.SortFunc(all, func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.age(k.Now), b.age(k.Now)), strings.Compare(a.Training, b.Training), strings.Compare(a.Run, b.Run))
	})
	return all, nil
}

// asked are a training's runs as nobody started them, a sweep's in their order: the first NotStarted, and those Waiting that
// the sweep has no room for.
func (k *Known) asked(t *registry.Training) (all []Run, err error) {
	free := -1 // any number
	if s := t.Spec.Sweep; s != nil && s.Parallel > 0 {
		free = s.Parallel
		for _, run := range k.Ledger {
			if run.Training == t.Key() && run.Environment == t.Environment.Name && !run.State.Ended() {
				free--
			}
		}
		free = max(free, 0)
	}
	var trials []Trial
	if k.Trials != nil {
		trials, err = k.Trials(t)
	} else {
		trials, err = Trials(k.Models, t)
	}
	for _, trial := range trials {
		r := Run{Run: t.RunName(trial.Hash), Hash: trial.Hash, Training: t.Key(), Environment: t.Environment.Name, Trial: trial.Values,
			State: NotStarted, GPUs: t.GPUs(), Nodes: t.Nodes()}
		if _, ran := k.Ledger[trial.Hash]; !ran {
			if free == 0 {
				r.State, r.Message = Waiting, fmt.Sprintf("%d at once", t.Spec.Sweep.Parallel)
			} else if free > 0 {
				free--
			}
		}
		all = append(all, r)
	}
	return all, err
}

// scheduled is a training that waits for its schedule: there is no run before its datasets are locked.
func scheduled(t *registry.Training, now time.Time) Run {
	return Run{
		Training: t.Key(), Environment: t.Environment.Name, State: Waiting, Message: Unlocked(t), Next: t.Spec.Schedule.Next(now),
		GPUs: t.GPUs(), Nodes: t.Nodes(),
	}
}

// Unlocked says why a scheduled training waits.
func Unlocked(t *registry.Training) string {
	if t.Lock == nil {
		return t.LockPath() + " is not there yet; davit commits it at the schedule's next time"
	}
	return t.LockPath() + " does not fit the training's datasets any more; davit commits another one at the schedule's next time"
}
