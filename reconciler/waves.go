package reconciler

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// rollout takes a change that moves several releases of an environment through it in waves. The nil rollout lets
// everything pass.
type rollout struct {
	environment string
	commit      gitops.Hash
	rank        map[registry.Key]int
	order       []registry.Key
	sizes       []int // how many releases have their turn by the end of each wave
	soak        time.Duration
	hastened    string // by whom the soak is shorter than the environment's, or why it is not
	limit       int    // failures that stop it

	mu      sync.Mutex
	wave    int
	from    time.Time // when the present wave may begin
	soaking bool      // until the first outcome after it
	done    map[registry.Key]bool
	failed  map[registry.Key]bool
}

// plan makes a rollout for each environment with waves and each commit that moves more than one of its releases, and one
// for those that this davit renders otherwise than the one before, under the commit that is followed.
// It begins where an earlier process left it: what is at its new inputs already counts.
func (r *Reconciler) plan(ctx context.Context, next *desired, shared []registry.Key) error {
	type change struct {
		environment string
		commit      gitops.Hash
		upgrade     bool
	}
	groups := map[change][]registry.Key{}
	upgraded := r.upgraded(next)
	for key := range upgraded {
		c := change{key.Environment, next.snapshot.Hash(), true}
		groups[c] = append(groups[c], key)
	}
	for _, key := range shared {
		if !upgraded[key] {
			c := change{key.Environment, next.since[key], false}
			groups[c] = append(groups[c], key)
		}
	}
	for c, keys := range groups {
		policy := next.models.Environments[c.environment].Spec.Fleet
		if len(policy.Waves) == 0 {
			continue
		}
		if r.desired.Load() == nil && !c.upgrade {
			keys = keys[:0:0]
			for key, since := range next.since {
				if key.Environment == c.environment && since == c.commit {
					keys = append(keys, key)
				}
			}
		}
		// What is held or suspended goes nowhere, and would hold up all the others; a way back waits for nobody.
		keys = slices.DeleteFunc(keys, func(key registry.Key) bool {
			s := r.state(key)
			return s.still.Load() || s.wasHealthyAt(next.keys[key]) && !s.at(next.keys[key])
		})
		if len(keys) < 2 {
			continue
		}
		slices.SortFunc(keys, func(a, b registry.Key) int { return strings.Compare(a.Name, b.Name) })
		w := &rollout{
			environment: c.environment, commit: c.commit, order: keys, sizes: policy.Sizes(len(keys)),
			limit: max(policy.StopAfterFailed, 1),
			rank:  map[registry.Key]int{}, done: map[registry.Key]bool{}, failed: map[registry.Key]bool{},
		}
		var err error
		if w.soak, w.hastened, err = r.soak(ctx, next, c.commit, keys); err != nil {
			return err
		}
		for i, key := range keys {
			w.rank[key], next.waves[key] = i, w
			if r.state(key).at(next.keys[key]) {
				w.done[key] = true
			}
		}
		for w.wave+1 < len(w.sizes) && w.complete() {
			w.wave++
			w.from = r.lastHealthyOf(w.order[:w.sizes[w.wave-1]]).Add(w.soak) // a restart does not end a soak
			w.soaking = true
		}
		r.cfg.Log.Info("a shared change goes in waves", "environment", w.environment, "commit", w.commit.String(),
			"releases", len(keys), "wave", w.wave+1, "of", len(w.sizes))
		r.tellSoak(w)
	}
	return nil
}

// lastHealthyOf is when the last of some releases became healthy.
func (r *Reconciler) lastHealthyOf(keys []registry.Key) (last time.Time) {
	for _, key := range keys {
		if p := r.state(key).past.Load(); p != nil && p.last.After(last) {
			last = p.last
		}
	}
	return last
}

// soaking queues the releases of waves whose soak lasts on after a start.
func (r *Reconciler) soaking(d *desired) {
	for key, w := range d.waves {
		if left := w.left(key); left > 0 && !w.open(key) {
			r.enqueueAfter(key, left)
		}
	}
}

// open says whether a release has its turn.
func (w *rollout) open(key registry.Key) bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rank := w.rank[key]
	if w.done[key] || w.failed[key] || w.wave > 0 && rank < w.sizes[w.wave-1] {
		return true // under way when the rollout stopped, it still comes to its end
	}
	return rank < w.sizes[w.wave] && len(w.failed) < w.limit && !time.Now().Before(w.from)
}

// left is how long a release of the present wave has to wait for the soak; zero when it waits for something else.
func (w *rollout) left(key registry.Key) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rank[key] >= w.sizes[w.wave] || len(w.failed) >= w.limit {
		return 0
	}
	return max(time.Until(w.from), 0)
}

// complete says whether the present wave and those before it are settled.
func (w *rollout) complete() bool {
	for _, key := range w.order[:w.sizes[w.wave]] {
		if !w.done[key] && !w.failed[key] {
			return false
		}
	}
	return true
}

// settle counts a release that became healthy or failed. It returns whose turn comes next and how long the soak
// before it is, and whether this failure stopped the rollout. Fewer failures than that hold up nobody.
func (w *rollout) settle(key registry.Key, healthy bool) (next []registry.Key, soak time.Duration, stopped bool) {
	if w == nil {
		return nil, 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if healthy {
		w.done[key] = true
		delete(w.failed, key)
	} else if !w.failed[key] {
		w.failed[key] = true
		delete(w.done, key)
		if len(w.failed) == w.limit {
			return nil, 0, true
		}
	}
	for w.wave+1 < len(w.sizes) && len(w.failed) < w.limit && w.complete() { // all of the next may have stepped aside
		w.wave++
		w.from, w.soaking = time.Now().Add(w.soak), true
		next, soak = append(next, w.order[w.sizes[w.wave-1]:w.sizes[w.wave]]...), w.soak
	}
	return next, soak, false
}

// outcome tells a release's rollout, and who waits for it, what came of it.
func (r *Reconciler) outcome(want *desired, key registry.Key, healthy bool) {
	r.advance(want.waves[key], key, healthy)
	for _, old := range r.left(key) {
		r.enqueue(old)
	}
	for _, user := range want.users[key] {
		if !r.state(user).at(want.keys[user]) {
			r.enqueue(user)
		}
	}
}

// advance counts a release's outcome in a rollout and begins the wave that may come after it. A release that a newer
// commit takes out of the rollout counts as healthy.
func (r *Reconciler) advance(w *rollout, key registry.Key, healthy bool) {
	next, soak, stopped := w.settle(key, healthy)
	if stopped {
		r.cfg.Log.Error("a shared change is stopped; git revert takes it back from all its releases at once",
			"environment", w.environment, "commit", w.commit.String(), "last", key.Name)
	}
	if len(next) > 0 {
		r.cfg.Log.Info("the next wave begins", "environment", w.environment, "commit", w.commit.String(),
			"releases", len(next), "after", soak.String())
	}
	for _, k := range next {
		r.enqueueAfter(k, soak)
	}
	if w != nil && (stopped || !healthy || len(next) > 0 || w.news()) { // not for each of ten thousand
		r.showRollouts()
	}
}

// news says whether an outcome is the first since a soak, or the last of all.
func (w *rollout) news() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := w.soaking && !time.Now().Before(w.from)
	w.soaking = w.soaking && !began
	return began || len(w.done)+len(w.failed) == len(w.order)
}

// showRollouts tells of the rollouts under way or stopped when they are others than those told last.
func (r *Reconciler) showRollouts() {
	want := r.desired.Load()
	if want == nil {
		return
	}
	r.showing.Lock()
	defer r.showing.Unlock()
	shown := []v1alpha1.Rollout{} // not nil: also that there are none is told once
	seen := map[*rollout]bool{}
	for _, w := range want.waves {
		if seen[w] || want.of(w.environment) != want {
			continue
		}
		seen[w] = true
		if status, under := w.status(); under {
			shown = append(shown, status)
		}
	}
	slices.SortFunc(shown, func(a, b v1alpha1.Rollout) int {
		return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.Commit, b.Commit))
	})
	if !reflect.DeepEqual(shown, r.shown) {
		r.shown = shown
		r.cfg.Rollouts(shown)
	}
}

// status is what people see of a rollout, and whether there is anything left to see.
func (w *rollout) status() (v1alpha1.Rollout, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := v1alpha1.Rollout{
		Environment: w.environment, Commit: w.commit.String(), Wave: w.wave + 1, Waves: len(w.sizes),
		Begun: w.sizes[w.wave], Releases: len(w.order), Stopped: len(w.failed) >= w.limit,
	}
	s.Soak = w.hastened
	for key := range w.failed {
		s.Failed = append(s.Failed, key.Name)
	}
	slices.Sort(s.Failed)
	if time.Now().Before(w.from) {
		s.Begun = w.sizes[w.wave-1]
		s.NotBefore = &metav1.Time{Time: w.from.Truncate(time.Second)}
	}
	return s, s.Stopped || !w.complete() || w.wave+1 < len(w.sizes)
}
