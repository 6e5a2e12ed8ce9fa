package reconciler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
)

// runLedger is where runs are claimed, each by one process alone, and what came of them is recorded: [gitops.Ledger] has the
// contract.
type runLedger interface {
	Runs(ctx context.Context) (map[string]gitops.Run, error)
	ClaimRun(ctx context.Context, run gitops.Run) (gitops.Run, bool, error)
	RecordRun(ctx context.Context, run gitops.Run, from ...gitops.RunState) (gitops.Run, error)
}

// runLedgers are Git's ledger, and the ConfigMaps that stand in for it where Git is not written to: because this controller
// may not, or because Git refused a claim, from then on until the process ends. Whatever is written, both are read, Git's
// record first, so that what either has does not run again. A run stays where it was claimed.
//
// ConfigMaps are weaker: they are lost with their namespace or cluster, another cluster does not see them, and of two
// environments in different places each has a spec run for itself.
type runLedgers struct {
	r    *Reconciler
	git  *gitops.Ledger
	weak atomic.Bool // claims go to ConfigMaps
	tell sync.Once

	mu    sync.Mutex
	sites map[*site]*siteRuns
	where map[string]runLedger // by hash: where a run was found last
}

func newRunLedgers(r *Reconciler, git *gitops.Ledger) *runLedgers {
	l := &runLedgers{r: r, git: git, sites: map[*site]*siteRuns{}, where: map[string]runLedger{}}
	l.weak.Store(r.cfg.Committer == nil)
	return l
}

// of is the ledger of an environment's cluster.
func (l *runLedgers) of(s *site) *siteRuns {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sites[s] == nil {
		l.sites[s] = &siteRuns{r: l.r, site: s}
	}
	return l.sites[s]
}

// found remembers where a run is.
func (l *runLedgers) found(hash string, in runLedger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.where[hash] = in
}

// find is a run's record: Git's, or that of its environment's cluster, which is asked only for what Git does not have. A
// ledger that can't be read is an error, after which nobody may start anything; but for ConfigMaps that this user may not
// see while runs are claimed in Git, since it kept none there.
func (l *runLedgers) find(ctx context.Context, key runKey) (run gitops.Run, there bool, err error) {
	runs, err := l.git.Runs(ctx)
	if err != nil {
		return run, false, err
	}
	if run, there = runs[key.hash]; there {
		l.found(key.hash, l.git)
		return run, true, nil
	}
	kept := l.of(l.r.site(key.environment))
	if runs, err = kept.Runs(ctx); err != nil {
		if apierrors.IsForbidden(err) && !l.weak.Load() {
			err = nil
		}
		return run, false, err
	}
	if run, there = runs[key.hash]; there {
		l.found(key.hash, kept)
		return run, true, nil
	}
	return run, false, kept.fault(key.hash)
}

// Runs are those of Git and of the clusters that were reached; a cluster that does not answer adds none.
func (l *runLedgers) Runs(ctx context.Context) (map[string]gitops.Run, error) {
	inGit, err := l.git.Runs(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]gitops.Run{}
	for _, s := range l.r.sites {
		if s.watcher.Load() == nil {
			continue
		}
		kept, err := l.of(s).Runs(ctx)
		if err != nil && !apierrors.IsForbidden(err) {
			l.r.cfg.Log.Warn("runs that a cluster keeps are not read", "environments", s.environments, "error", err)
		}
		for hash, run := range kept {
			all[hash] = run
		}
	}
	for hash, run := range inGit {
		all[hash] = run
	}
	return all, ctx.Err()
}

// ClaimRun claims in Git, or in the environment's cluster once Git refused. [runLedgers.find] comes before it.
func (l *runLedgers) ClaimRun(ctx context.Context, run gitops.Run) (gitops.Run, bool, error) {
	if !l.weak.Load() {
		got, mine, err := l.git.ClaimRun(ctx, run)
		if !errors.Is(err, gitops.ErrReadOnly) {
			l.found(run.Hash, l.git)
			return got, mine, err
		}
		l.weak.Store(true)
		l.weaker(err.Error())
	}
	l.weaker("this controller writes nothing to Git")
	kept := l.of(l.r.site(run.Environment))
	got, mine, err := kept.ClaimRun(ctx, run)
	if err == nil {
		l.found(run.Hash, kept)
	}
	return got, mine, err
}

// weaker says once what is given up.
func (l *runLedgers) weaker(why string) {
	l.tell.Do(func() {
		l.r.cfg.Log.Warn("runs are kept in ConfigMaps of their environments' namespaces, not in Git, until davit starts anew: that is weaker. "+
			"They are lost with the namespace or the cluster, and then, or in another cluster, the same specs train again", "why", why)
	})
}

// RecordRun records where the run is.
func (l *runLedgers) RecordRun(ctx context.Context, run gitops.Run, from ...gitops.RunState) (gitops.Run, error) {
	l.mu.Lock()
	in := l.where[run.Hash]
	l.mu.Unlock()
	if in == nil {
		return gitops.Run{}, fmt.Errorf("recording run %s: it is in no ledger that was read", run.Name)
	}
	return in.RecordRun(ctx, run, from...)
}

// resumeKept has the runs looked at that an earlier process left in the ConfigMaps of a site.
func (r *Reconciler) resumeKept(ctx context.Context, s *site) {
	if !s.reached(ctx) {
		return
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		runs, err := r.runs.of(s).Runs(ctx)
		if err == nil {
			r.resume(runs)
			return
		}
		if ctx.Err() != nil || apierrors.IsForbidden(err) && !r.runs.weak.Load() {
			return
		}
		r.cfg.Log.Warn("the runs that the cluster keeps can't be read; it is tried again", "environments", s.environments, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// byHand says once how a person makes the version that davit does not propose.
func (r *Reconciler) byHand(x *running, why string) {
	r.untrained(x.key, x.training, fmt.Sprintf("no version is proposed of what %s made: %s; in a clone, davit train version %s writes its file, to be committed", x.Name, why, x.Name))
}

// keptOrRetried goes on trying where Git takes claims, and so may take a version later.
func (r *Reconciler) keptOrRetried(x *running, err error) error {
	if !errors.Is(err, gitops.ErrReadOnly) {
		return err
	}
	r.byHand(x, err.Error())
	if r.runs.weak.Load() {
		return nil
	}
	return err
}
