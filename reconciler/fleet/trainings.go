package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

// TrainingQuery selects trainings. The zero value selects all.
type TrainingQuery struct {
	// Training is MODEL/NAME of one, whose runs are told then, up to MostLines; of others a few are.
	Training           string
	Environment, Model string
	// State is one of a Facet's of [Trainings.States].
	State       string
	From, Limit int
}

// fewRuns is how many runs of a training a list tells that is of several.
const fewRuns = 5

// Trainings are the trainings of a registry with their runs: those with the newest runs first.
type Trainings struct {
	Registry     string        `json:"registry"`
	Tip          *Tip          `json:"tip,omitempty"`
	Query        TrainingQuery `json:"-"`
	Trainings    []Training    `json:"trainings"`
	States       []Facet       `json:"states"`
	Environments []string      `json:"allEnvironments"`
	Models       []string      `json:"models"`
	// All is how many runs there are, Found how many trainings the query selects.
	All   int `json:"all"`
	Found int `json:"found"`
	From  int `json:"from"`
	// Notes say what could not be read.
	Notes []string `json:"notes,omitempty"`
}

// Training is one training with its runs, newest first.
type Training struct {
	// Training is "model/name", by which it has its page.
	Training string `json:"training"`
	Model    string `json:"model"`
	Name     string `json:"name"`
	Team     string `json:"team,omitempty"`
	// Environment is where it runs; "" of a training that the branch does not have any more.
	Environment string `json:"environment,omitempty"`
	// Schedule is crontab(5)'s five fields, with the timezone behind them where there is one; Next its next time.
	Schedule string    `json:"schedule,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	// Sweep sums up the trials of a sweep as its file has it.
	Sweep *Sweep `json:"sweep,omitempty"`
	// Fault is why the branch's file makes no training.
	Fault string `json:"fault,omitempty"`
	Runs  []Run  `json:"runs"`
	// More is how many runs are left out.
	More int `json:"more,omitempty"`
}

// Sweep is how the trials of a training stand.
type Sweep struct {
	Metric string `json:"metric"`
	Goal   string `json:"goal"`
	Trials int    `json:"trials"`
	Ended  int    `json:"ended"`
	// Best is the run with the best metric of those that succeeded, Value its metric.
	Best  string  `json:"best,omitempty"`
	Value float64 `json:"value,omitempty"`
}

// Run is one run, as a list tells it.
type Run struct {
	runs.Run
	// Stands sums State up by a release's words.
	Stands State `json:"stands"`
	// Says is the state with what matters most about it.
	Says string `json:"says"`
	// Values are those of a sweep's trial, such as "depth=3 lr=0.1".
	Values string `json:"values,omitempty"`
	// Elapsed is how many seconds it ran, or runs so far.
	Elapsed int `json:"elapsed,omitempty"`
	// ToDo is the command that helps, or what is waited for.
	ToDo string `json:"todo,omitempty"`
	// Proposal is the branch on which the version that it made waits for a person.
	Proposal string `json:"proposal,omitempty"`
}

// Trainings lists what a query selects. It is nil when the registry is not followed.
func (f *Fleet) Trainings(ctx context.Context, v Viewer, name string, q TrainingQuery) *Trainings {
	r := f.of(name)
	if r == nil {
		return nil
	}
	l, now := r.look(), f.cfg.Now()
	out := &Trainings{Registry: name, Tip: l.tip(), Query: q, From: max(q.From, 0), Trainings: []Training{}, States: []Facet{}, Environments: []string{}, Models: []string{}}
	all, notes := l.allRuns(ctx, v, now)
	out.Notes = notes
	groups, counts := map[string]*Training{}, map[State]int{}
	for i := range all {
		run := l.tell(&all[i], now)
		g := groups[run.Training]
		if g == nil {
			g = l.training(run.Training, now)
			groups[run.Training] = g
		}
		out.Environments, out.Models = append(out.Environments, run.Environment), append(out.Models, g.Model)
		if run.Run.Run == "" { // it waits for its schedule: the training says that itself
			continue
		}
		out.All++
		counts[run.Stands]++
		g.Runs = append(g.Runs, run)
	}
	l.faulty(v, groups)
	var list []*Training
	for _, g := range groups {
		if g.sum(l); q.selects(g) {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b *Training) int {
		return cmp.Or(b.newest().Compare(a.newest()), strings.Compare(a.Training, b.Training))
	})
	out.Found = len(list)
	for _, g := range part(list, out.From, cmp.Or(q.Limit, 50)) {
		g.cut(q)
		out.Trainings = append(out.Trainings, *g)
	}
	for _, s := range states {
		n := counts[s]
		if s == Attention {
			n = counts[Broken] + counts[Stopped] + counts[Manual]
		}
		out.States = append(out.States, Facet{string(s), n})
	}
	out.Environments, out.Models = sortedSet(out.Environments), sortedSet(out.Models)
	return out
}

func sortedSet(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// tell adds to a run what is said of it.
func (l *look) tell(r *runs.Run, now time.Time) Run {
	out := Run{Run: *r, Says: plain(r.Standing()), Values: plain(r.Values()), ToDo: r.ToDo(l.models), Stands: Moving}
	if d, known := r.Elapsed(now); known && r.Run != "" && r.State != runs.NotStarted {
		out.Elapsed = int(d.Seconds())
	}
	switch gitops.RunState(r.State) {
	case gitops.RunSucceeded:
		out.Stands = Well
		if r.Version != "" && !r.Merged(l.models) {
			model, _, _ := strings.Cut(r.Training, "/")
			out.Proposal = "davit/train/" + model + "/" + r.Version
		}
	case gitops.RunFailed, gitops.RunLost:
		out.Stands = Broken
	case gitops.RunCanceled:
		out.Stands = Manual
	}
	out.Reason, out.Message = plain(r.Reason), plain(r.Message)
	return out
}

// training is what the branch says of one.
func (l *look) training(key string, now time.Time) *Training {
	g := &Training{Training: key, Runs: []Run{}}
	g.Model, g.Name, _ = strings.Cut(key, "/")
	if m := l.models.Models[g.Model]; m != nil {
		g.Team = m.Team
	}
	if faults := l.models.BrokenTrainings[key]; len(faults) > 0 {
		g.Fault = faults[0].String()
	}
	t := l.models.Trainings[key]
	if t == nil {
		return g
	}
	g.Team, g.Environment = t.Team, t.Environment.Name
	if s := t.Spec.Schedule; s != nil {
		g.Schedule, g.Next = strings.TrimSpace(s.Cron+" "+s.Timezone), s.Next(now)
	}
	return g
}

// faulty adds the trainings whose file has a fault, and that nothing else is known of. Where they would run is not known, so
// whoever may see something sees them.
func (l *look) faulty(v Viewer, groups map[string]*Training) {
	if l.models == nil || v.May != nil && !slices.ContainsFunc(environmentsOf(l.models), func(e string) bool { return v.may(l.name, e) }) {
		return
	}
	for key, faults := range l.models.BrokenTrainings {
		if groups[key] == nil {
			g := &Training{Training: key, Runs: []Run{}, Fault: faults[0].String()}
			g.Model, g.Name, _ = strings.Cut(key, "/")
			groups[key] = g
		}
	}
}

func environmentsOf(models *registry.Registry) (names []string) {
	for name := range models.Environments {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sum counts a sweep's trials.
func (g *Training) sum(l *look) {
	if l.models == nil || l.models.Trainings[g.Training] == nil || l.models.Trainings[g.Training].Spec.Sweep == nil {
		return
	}
	t := l.models.Trainings[g.Training]
	trials, err := l.trials.get(l.models, t)
	if err != nil {
		return
	}
	asked := map[string]bool{}
	for _, trial := range trials {
		asked[trial.Hash] = true
	}
	g.Sweep = &Sweep{Metric: t.Spec.Sweep.Metric, Goal: cmp.Or(t.Spec.Sweep.Goal, "max"), Trials: len(trials)}
	var best map[string]float64
	for i := range g.Runs {
		r := &g.Runs[i]
		if !asked[r.Hash] || !gitops.RunState(r.State).Ended() {
			continue
		}
		g.Sweep.Ended++
		if value, told := t.Spec.Sweep.Value(r.Metrics); told && r.State == string(gitops.RunSucceeded) && (best == nil || t.Spec.Sweep.Better(r.Metrics, best)) {
			best, g.Sweep.Best, g.Sweep.Value = r.Metrics, r.Run.Run, value
		}
	}
}

func (q TrainingQuery) selects(g *Training) bool {
	switch {
	case q.Training != "" && q.Training != g.Training, q.Model != "" && q.Model != g.Model:
		return false
	case q.Environment == "" && q.State == "":
		return true
	}
	g.Runs = slices.DeleteFunc(g.Runs, func(r Run) bool {
		return q.Environment != "" && r.Environment != q.Environment || q.State != "" && !State(q.State).Has(r.Stands)
	})
	return len(g.Runs) > 0 || q.State == "" && q.Environment == g.Environment
}

// newest is when its newest run was claimed; what was not started yet is newer than all.
func (g *Training) newest() time.Time {
	switch {
	case len(g.Runs) == 0:
		return time.Time{}
	case g.Runs[0].Claimed.IsZero():
		return time.Unix(1<<40, 0)
	}
	return g.Runs[0].Claimed
}

// cut leaves a few runs, or of the one training that was asked for all that fit.
func (g *Training) cut(q TrainingQuery) {
	most := fewRuns
	if q.Training != "" {
		most = MostLines
	}
	if g.More = max(len(g.Runs)-most, 0); g.More > 0 {
		g.Runs = g.Runs[:most]
	}
}
