package reconciler

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/davit-dev/davit/registry"
)

// quotas count the GPUs of the environments that have a quota. A release's own count is its state's gpus: what is applied,
// or what it was let take while it is applied.
type quotas struct {
	mu sync.Mutex // guards what counts while it is decided who may have more
	of map[string]*ledger
	// runs are those under way, by the ledger once that was read, and those about to start; waits those that have to wait.
	runs  map[runKey]runGPUs
	waits map[runKey]bool
	read  bool
}

// ledger is how an environment's GPUs are given out, as one commit has its releases, and to runs.
type ledger struct {
	want  *desired
	all   int
	teams map[string]int
	most  int            // what all would have together
	mosts map[string]int // by team
	waits map[registry.Key]bool
}

// quotaOf is the bound of an environment; the zero value when it has none.
func (r *Reconciler) quotaOf(env *registry.Environment) registry.Quota {
	bounded := func(q registry.Quota) bool { return q.GPUs > 0 || q.PerTeam > 0 || len(q.Teams) > 0 }
	floor := r.floorOf(env.Name)
	switch {
	case floor != nil && bounded(floor.Quota):
		return env.Spec.Policy.And(registry.Policy{Quota: floor.Quota}).Quota
	case bounded(env.Spec.Quota):
		return env.Spec.Quota
	}
	return registry.Quota{}
}

func unbounded(q registry.Quota) bool { return q.GPUs == 0 && q.PerTeam == 0 && len(q.Teams) == 0 }

// overQuota lets a target have its GPUs, or says why there are too few of them for it. What asks for no more than it has
// passes, and so do ways back and what people chose; they count all the same.
func (r *Reconciler) overQuota(ctx context.Context, want *desired, s *state, t *target) (*back, error) {
	if t.release.GPUs() > int(s.gpus.Load()) && !unbounded(r.quotaOf(t.release.Environment)) {
		r.knowRuns(ctx, t.release.Environment.Name)
	}
	b := r.take(want, s, t, s.exempt(t))
	if b == nil {
		return nil, nil
	}
	if was := s.stays(t); was != nil && was.reason == ReasonQuotaExceeded && !was.unsure {
		return b, nil // it has not been healthy here meanwhile
	}
	before, unknown, err := r.wayBack(ctx, s, t)
	switch {
	case err != nil:
		return nil, err
	case before:
		return r.take(want, s, t, true), nil
	}
	b.unsure = unknown != ""
	return b, nil
}

// take gives a target its GPUs, also where there are too few of them if it must have them.
func (r *Reconciler) take(want *desired, s *state, t *target, must bool) *back {
	quota := r.quotaOf(t.release.Environment)
	asks := t.release.GPUs()
	if unbounded(quota) {
		s.gpus.Store(int32(asks))
		return nil
	}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	l := r.ledger(want, t.release.Environment.Name)
	more := asks - int(s.gpus.Load())
	if more > 0 && !must {
		if why := r.refuses(l, quota, t.release, more); why != "" {
			l.waits[s.key] = true
			return &back{reason: ReasonQuotaExceeded, why: why, key: t.key, env: t.release.Environment}
		}
	}
	if delete(l.waits, s.key); more > 0 { // what it gives back is free once that is applied
		l.add(t.release.Team, more)
		s.gpus.Store(int32(asks))
	}
	return nil
}

// ledger counts what an environment's releases have, anew for each commit: they may have come, gone, or changed teams.
func (r *Reconciler) ledger(want *desired, environment string) *ledger {
	if l := r.quotas.of[environment]; l != nil && l.want == want {
		return l
	}
	l := &ledger{want: want, teams: map[string]int{}, mosts: map[string]int{}, waits: map[registry.Key]bool{}}
	if was := r.quotas.of[environment]; was != nil {
		l.waits = was.waits
	}
	for _, s := range r.all() {
		if s.key.Environment != environment {
			continue
		}
		has := int(s.gpus.Load())
		release := want.models.Release(s.key)
		team := ""
		if release != nil {
			team = release.Team
			if has == 0 && s.at(want.keys[s.key]) { // applied by a davit that did not write it down
				has = release.GPUs()
				s.gpus.Store(int32(has))
			}
		} else if faults := want.models.Broken[s.key]; len(faults) > 0 {
			team = teamOf(faults[0].Path)
		}
		l.add(team, has)
		if release == nil {
			l.most += has
			l.mosts[team] += has
		}
	}
	for _, release := range want.models.Releases {
		if release.Environment.Name == environment {
			has := 0
			if s := r.peek(release.Key()); s != nil {
				has = int(s.gpus.Load())
			}
			l.most += max(release.GPUs(), has)
			l.mosts[release.Team] += max(release.GPUs(), has)
		}
	}
	r.countRuns(l, environment)
	if r.quotas.of == nil {
		r.quotas.of = map[string]*ledger{}
	}
	r.quotas.of[environment] = l
	return l
}

func (l *ledger) add(team string, gpus int) {
	l.all += gpus
	l.teams[team] += gpus
}

// teamOf is the team in whose folder a file lies.
func teamOf(name string) string {
	rest, _ := strings.CutPrefix(name, "teams/")
	if team, _, ok := strings.Cut(rest, "/"); ok && rest != name {
		return team
	}
	return ""
}

// refuses says why a release can't have more GPUs; "" when it can. Where not all can have what they want, those that come
// first by name have it, whichever worker asks first.
func (r *Reconciler) refuses(l *ledger, quota registry.Quota, release *registry.Release, more int) string {
	bound, bounded := quota.Of(release.Team)
	if why := l.over(quota, wishFor(release, more)); why != "" {
		return why
	}
	if (quota.GPUs == 0 || l.most <= quota.GPUs) && (!bounded || l.mosts[release.Team] <= bound) {
		return "" // there is enough for all
	}
	planned := &ledger{all: l.all, teams: maps.Clone(l.teams)}
	for _, other := range l.want.models.Releases {
		if other == release {
			break // they are in order
		}
		if other.Environment.Name != release.Environment.Name {
			continue
		}
		if n := r.contends(l.want, other); n > 0 && planned.over(quota, wishFor(other, n)) == "" {
			planned.add(other.Team, n)
		}
	}
	return planned.over(quota, wishFor(release, more))
}

// contends is how many GPUs a release is about to ask for, unless something else than the quota keeps it.
func (r *Reconciler) contends(want *desired, release *registry.Release) int {
	key := release.Key()
	s := r.peek(key)
	if s == nil {
		return release.GPUs()
	}
	more := release.GPUs() - int(s.gpus.Load())
	b := s.back.Load()
	waits := b != nil && b.reason == ReasonQuotaExceeded
	if more <= 0 || s.at(want.keys[key]) || s.still.Load() || !want.waves[key].open(key) || !waits && (b != nil || s.trouble.Load() != "") {
		return 0
	}
	return more
}

// wish is who wants more GPUs: all of what it asks for where it has none yet.
type wish struct {
	name, team, environment string
	more, all               int
}

func wishFor(release *registry.Release, more int) wish {
	return wish{name: release.Name, team: release.Team, environment: release.Environment.Name, more: more, all: release.GPUs()}
}

// over says which bound a wish for more goes beyond.
func (l *ledger) over(quota registry.Quota, w wish) string {
	asks := fmt.Sprintf("%s asks for %d", w.name, w.more)
	if w.more != w.all {
		asks += " more"
	}
	if quota.GPUs > 0 && l.all+w.more > quota.GPUs {
		return fmt.Sprintf("environment %s may have %s: %d are in use or promised, and %s; take some back, or raise quota.gpus",
			w.environment, gpus(quota.GPUs), l.all, asks)
	}
	if bound, bounded := quota.Of(w.team); bounded && l.teams[w.team]+w.more > bound {
		return fmt.Sprintf("%s may have %s in %s: %d are in use or promised, and %s; take some back, or raise quota.%s",
			named(w.team), gpus(bound), w.environment, l.teams[w.team], asks, field(quota, w.team))
	}
	return ""
}

func gpus(n int) string {
	if n == 1 {
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}

func named(team string) string {
	if team == "" {
		return "what is in no team"
	}
	return "team " + team
}

func field(quota registry.Quota, team string) string {
	if _, own := quota.Teams[team]; own {
		return "teams." + team
	}
	return "perTeam"
}

// counted takes what is applied as what a release has.
func (r *Reconciler) counted(want *desired, s *state) {
	if s.release != nil {
		r.has(want, s, s.release.Status.Applied.GPUs)
	}
}

// freed counts a release that was deleted.
func (r *Reconciler) freed(want *desired, s *state) { r.has(want, s, 0) }

func (r *Reconciler) has(want *desired, s *state, now int32) {
	if s.gpus.Load() == now {
		return
	}
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	was := s.gpus.Swap(now)
	l := r.quotas.of[s.key.Environment]
	if l == nil {
		return
	}
	if l.want != nil {
		if release := l.want.models.Release(s.key); release != nil {
			l.add(release.Team, int(now-was))
		} else {
			l.want = nil // counted anew
		}
	}
	if now < was {
		r.wakeQuota(l)
		r.wakeRuns()
	}
}

// passed lets those go on that wait for GPUs a release was to have before them, and does not take.
func (r *Reconciler) passed(s *state) {
	r.quotas.mu.Lock()
	defer r.quotas.mu.Unlock()
	l := r.quotas.of[s.key.Environment]
	if b := s.back.Load(); l != nil && (b == nil || b.reason != ReasonQuotaExceeded) {
		r.wakeQuota(l)
		r.wakeRuns()
	}
}

func (r *Reconciler) wakeQuota(l *ledger) {
	for _, key := range slices.SortedFunc(maps.Keys(l.waits), byName) {
		delete(l.waits, key) // who is refused again waits again
		r.enqueue(key)
	}
}

// goesOn is told of a release that is where it is to be: nothing keeps it back.
func (r *Reconciler) goesOn(want *desired, s *state, t *target) {
	t.is(s.release.Status.Applied)
	if !t.rollback && !t.kept {
		s.back.Store(nil)
	}
	r.counted(want, s)
}
