package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

// answerWithin is how long a cluster or the remote repository may take for one page; the page is there without it, with a note.
const answerWithin = 5 * time.Second

// runsFor is for how long what was read of runs is told again: many may look at one page, and each change has all of them ask.
const runsFor = 2 * time.Second

// runsNow is what was read last of a registry's runs.
type runsNow struct {
	mu    sync.Mutex
	at    time.Time
	known runs.Known
	notes []string
}

// read reads the ledger and the clusters' runs. What can't be read is told by notes.
func (r *runsNow) read(ctx context.Context, l *look, now time.Time) (known runs.Known, notes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || now.Sub(r.at) >= runsFor {
		if known, notes := readRuns(ctx, l); ctx.Err() == nil {
			r.at, r.known, r.notes = now, known, notes
		} else {
			return known, notes
		}
	}
	return r.known, r.notes
}

func readRuns(ctx context.Context, l *look) (known runs.Known, notes []string) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	ledger, kept, err := l.Runs(ctx)
	if err != nil {
		notes = append(notes, "The ledger of runs can't be read: "+gitops.RedactText(err.Error()))
	}
	known.Ledger, known.Kept = ledger, func(hash string) bool { return kept[hash] }
	clusters := l.Clusters()
	live, faults := make([][]cluster.RunStatus, len(clusters)), make([]error, len(clusters))
	var work sync.WaitGroup
	for i, c := range clusters {
		work.Go(func() {
			if live[i], faults[i] = c.Runs(ctx, ""); faults[i] == nil {
				progress(ctx, c, live[i])
			}
		})
	}
	work.Wait()
	for i, c := range clusters {
		if faults[i] != nil {
			notes = append(notes, "A cluster does not tell how runs stand: "+gitops.RedactText(faults[i].Error()))
		}
		for _, r := range live[i] {
			if l.theirs(c, r) {
				known.Live = append(known.Live, r)
			}
		}
	}
	return known, notes
}

// mostProgress bounds the logs that are read for how far runs are.
const mostProgress = 32

func progress(ctx context.Context, c *cluster.Cluster, live []cluster.RunStatus) {
	var work errgroup.Group
	work.SetLimit(8)
	n := 0
	for i := range live {
		if live[i].Phase == cluster.RunRunning && n < mostProgress {
			n++
			work.Go(func() error {
				c.Progress(ctx, &live[i])
				return nil
			})
		}
	}
	_ = work.Wait()
}

// theirs says that a run in a cluster is one of this registry's: another may be followed into other namespaces of it.
func (l *look) theirs(c *cluster.Cluster, r cluster.RunStatus) bool {
	if l.models == nil || l.models.Environments[r.Environment] == nil {
		return false
	}
	return l.models.Environments[r.Environment].Spec.Namespace == r.Namespace && l.Cluster(r.Environment) == c
}

// trialsOf remembers, of one commit, what trainings ask for: a sweep hashes a thousand specs.
type trialsOf struct {
	mu  sync.Mutex
	of  *registry.Registry
	all map[string][]runs.Trial
}

func (t *trialsOf) get(models *registry.Registry, training *registry.Training) ([]runs.Trial, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of != models {
		t.of, t.all = models, map[string][]runs.Trial{}
	}
	if all, known := t.all[training.Key()]; known {
		return all, nil
	}
	all, err := runs.Trials(models, training)
	if err != nil {
		return nil, fmt.Errorf("hashing training %s: %w", training.Key(), err)
	}
	t.all[training.Key()] = all
	return all, nil
}

// allRuns are the runs that a viewer may see, newest first.
func (l *look) allRuns(ctx context.Context, v Viewer, now time.Time) (all []runs.Run, notes []string) {
	if l.models == nil {
		return nil, []string{"No commit was followed yet."}
	}
	known, notes := l.followed.runs.read(ctx, l, now)
	known.Models, known.Now = l.models, now
	known.Trials = func(t *registry.Training) ([]runs.Trial, error) { return l.trials.get(l.models, t) }
	list, err := known.All()
	if err != nil {
		notes = append(notes, "What trainings ask for is not known: "+gitops.RedactText(err.Error()))
	}
	may := map[string]bool{}
	for _, r := range list {
		ok, asked := may[r.Environment]
		if !asked {
			ok = v.may(l.name, r.Environment)
			may[r.Environment] = ok
		}
		if ok {
			if !v.seesLogs(l.name, r.Environment) {
				r.Progress = "" // a line of its log
			}
			all = append(all, r)
		}
	}
	return all, notes
}
