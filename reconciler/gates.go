package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// closed says which gate keeps a promotion back; nil when the target is none, all are open, or the version was healthy here
// before: nobody is kept from going back.
func (r *Reconciler) closed(ctx context.Context, s *state, t *target) (*back, error) {
	if s.exempt(t) || !r.hasGates(t.release) {
		return nil, nil
	}
	if promotes, err := r.promotes(ctx, s, t); err != nil || !promotes {
		return nil, err
	}
	findings, elsewhere, err := r.checkGates(ctx, s, t)
	if err != nil {
		return nil, err
	}
	b := elsewhere.back(findings)
	if b == nil {
		return nil, nil
	}
	b.key, b.env = t.key, t.release.Environment
	if was := s.stays(t); was != nil && was.reason == ReasonGateClosed && !was.unsure {
		return b, nil // it has not been healthy here meanwhile
	}
	before, unknown, err := r.healthyBefore(ctx, s, t)
	switch {
	case err != nil:
		return nil, err
	case before:
		return nil, nil
	case unknown == "":
		return b, nil
	}
	if b.unsure = true; s.release == nil || s.release.Status.Applied.Commit == "" {
		b.why += "; a version that was healthy here before passes, and whether this one was is not known: " + unknown
	}
	return b, nil
}

// checkGates holds a target against its gates, whoever asks: what is about to be applied, or a rule that would merge it. It
// needs s.work.
func (r *Reconciler) checkGates(ctx context.Context, s *state, t *target) ([]gate.Finding, *elsewhereHealthy, error) {
	facts, elsewhere, err := r.facts(ctx, s, t)
	if err != nil {
		return nil, nil, err
	}
	findings, err := gate.Check(t.snapshot, t.release, facts)
	if err = errors.Join(err, elsewhere.err); err != nil {
		return nil, nil, fmt.Errorf("looking at the gates of %s: %w", s.key, err)
	}
	return findings, elsewhere, nil
}

// facts are what is known of a target beside its files. It needs s.work.
func (r *Reconciler) facts(ctx context.Context, s *state, t *target) (gate.Facts, *elsewhereHealthy, error) {
	serving, err := r.serving(ctx, s, t)
	elsewhere := &elsewhereHealthy{r: r, ctx: ctx, t: t}
	return gate.Facts{Now: r.cfg.Now(), Serving: serving, HealthyIn: elsewhere.since, Floor: r.floorOf(s.key.Environment)}, elsewhere, err
}

// hasGates spares those who have none everything else.
func (r *Reconciler) hasGates(release *registry.Release) bool {
	some := func(g registry.Gates) bool {
		return len(g.Metrics)+len(g.HealthyIn)+len(g.Evidence)+len(g.Approvals) > 0
	}
	env := release.Environment
	floor := r.floorOf(env.Name)
	return some(env.Spec.Gates) || some(release.Model.Spec.Gates[env.Name]) || floor != nil && some(floor.Gates)
}

// promotes says whether a target has another version than the release has or was healthy at last.
func (r *Reconciler) promotes(ctx context.Context, s *state, t *target) (bool, error) {
	var had []v1alpha1.Revision
	if s.release != nil {
		had = append(had, s.release.Status.Applied, s.release.Status.Healthy)
	}
	for _, old := range s.moved { // where it still serves
		had = append(had, old.Status.Applied, old.Status.Healthy)
	}
	for _, rev := range had {
		if !t.versionOf(rev) {
			continue
		}
		if same, err := r.versioned(ctx, s.key, rev.Commit, t); err != nil || same {
			return false, err
		}
	}
	return true, nil
}

// serving is the version that is applied, of whichever model and as its own commit tells it: what the files say of it since
// lowers no bound. Nil where nothing is applied or its commit is not here, and where no gate asks.
func (r *Reconciler) serving(ctx context.Context, s *state, t *target) (*registry.ModelVersion, error) {
	if s.release == nil || s.release.Status.Applied.Commit == "" || !asksOfServing(gate.Gates(t.release, r.floorOf(s.key.Environment))) {
		return nil, nil
	}
	was, err := r.at(ctx, s, s.release.Status.Applied, t.seen)
	if _, stuck := errors.AsType[*stuckError](err); stuck {
		if v := t.release.Model.Versions[s.release.Status.Applied.Version]; modelOf(s.release.Status.Applied.Image, t.release.Model.Name) {
			return v, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the version that %s serves: %w", s.key, err)
	}
	return was.release.ModelVersion, nil
}

// asksOfServing says whether a metric is held against that of the version served.
func asksOfServing(gates registry.Gates) bool {
	for _, m := range gates.Metrics {
		if m.MaxDropFromServing != nil || m.MaxRiseFromServing != nil {
			return true
		}
	}
	return false
}

// elsewhereHealthy answers how long a target's version has been healthy in other environments, and remembers why it could
// not.
type elsewhereHealthy struct {
	r       *Reconciler
	ctx     context.Context
	t       *target
	unknown map[string]string
	err     error
}

func (e *elsewhereHealthy) since(environment string) (since time.Time, known bool) {
	key := registry.Key{Environment: environment, Name: e.t.release.Name}
	since, unknown, err := e.r.healthyIn(e.ctx, key, e.t)
	if err != nil {
		e.err, unknown = err, err.Error()
	}
	if unknown != "" {
		if e.unknown == nil {
			e.unknown = map[string]string{}
		}
		e.unknown["healthyIn/"+environment] = unknown
	}
	return since, unknown == ""
}

// back sums up what is closed; before anything is applied, what nobody can tell is closed, too.
func (e *elsewhereHealthy) back(findings []gate.Finding) *back {
	var b *back
	n := 0
	for _, f := range findings {
		if f.State == gate.Passed {
			continue
		}
		if n++; b == nil {
			b = &back{reason: ReasonGateClosed, why: f.Message, ends: f.Until}
			if unknown := e.unknown[f.Gate]; f.State == gate.Unknown && unknown != "" {
				b.why = fmt.Sprintf("%s must be healthy in %s first, and whether it is can't be told: %s", e.t.release.ModelVersion, strings.TrimPrefix(f.Gate, "healthyIn/"), unknown)
			}
		}
		for _, at := range []time.Time{f.Until, e.again(f)} {
			if !at.IsZero() && (b.until.IsZero() || at.Before(b.until)) {
				b.until = at
			}
		}
	}
	if n > 1 {
		b.why += fmt.Sprintf(" (and %d more: davit plan lists them)", n-1)
	}
	return b
}

// again is when to look at a gate again of which nothing tells: at that of an environment where another controller works.
func (e *elsewhereHealthy) again(f gate.Finding) time.Time {
	environment, is := strings.CutPrefix(f.Gate, "healthyIn/")
	if !is || e.r.mine(environment) && e.r.site(environment) != nil {
		return time.Time{}
	}
	all := len(e.r.wanted(e.t.release.Environment.Name).models.Releases)
	return e.r.cfg.Now().Add(max(lookElsewhere, lookElsewhereEach*time.Duration(all)))
}

// healthyIn is since when a release has been healthy at a target's version, without interruption; zero when it is not. An
// environment of another controller's tells by its outcomes in Git.
func (r *Reconciler) healthyIn(ctx context.Context, key registry.Key, t *target) (since time.Time, unknown string, err error) {
	site := r.site(key.Environment)
	if site == nil || !r.mine(key.Environment) {
		return r.healthyByOthers(ctx, site, key, t)
	}
	if !site.known.Load() {
		return since, "its cluster is not reachable; it is tried again", nil
	}
	s := r.peek(key)
	if s == nil {
		return since, "", nil
	}
	since, err = r.steadyAt(ctx, s, t)
	return since, "", err
}

// steadyAt is since when a release, as it was shown last, has been healthy at a target's version.
func (r *Reconciler) steadyAt(ctx context.Context, s *state, t *target) (since time.Time, err error) {
	shown, at := s.shown.Load(), s.steady.Load()
	if shown == nil || at == 0 || !t.versionOf(shown.healthy) || shown.held != nil && shown.held.Version == t.release.ModelVersion.Name {
		return since, nil
	}
	if same, err := r.versioned(ctx, s.key, shown.healthy.Commit, t); err != nil || !same {
		return since, err
	}
	was, err := r.at(ctx, s, shown.healthy, t.seen)
	if _, stuck := errors.AsType[*stuckError](err); stuck {
		return since, nil
	} else if err != nil {
		return since, err
	}
	if n := was.release.Serving.Replicas; n != nil && *n == 0 {
		return since, nil // healthy as nothing is that does not run
	}
	return time.Unix(at, 0), nil
}

// healthyByOthers asks the cluster about a release that another controller works on, or Git where there is none to ask.
func (r *Reconciler) healthyByOthers(ctx context.Context, site *site, key registry.Key, t *target) (since time.Time, unknown string, err error) {
	env := r.wanted(t.release.Environment.Name).models.Environments[key.Environment]
	if site == nil || env == nil {
		return r.healthyByNotes(ctx, key, t)
	}
	mr, err := site.cluster.Release(ctx, env.Spec.Namespace, key.Environment, key.Name)
	switch {
	case err != nil:
		return since, "", fmt.Errorf("looking at %s, which another controller works on: %w", key, err)
	case mr == nil || mr.Spec.Owner != r.cfg.Owner:
		return r.healthyByNotes(ctx, key, t)
	}
	other := &state{key: key, release: mr}
	other.show()
	since, err = r.steadyAt(ctx, other, t)
	return since, "", err
}

// peek is a release's state, if there is one.
func (r *Reconciler) peek(key registry.Key) *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states[key]
}

// healthySince is since when what is applied has been healthy without interruption, in Unix seconds; 0 when it is not.
func (s *state) healthySince() int64 {
	st := s.release.Status
	ready := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady)
	if ready == nil || !s.isReady() || s.release.Pending() || st.Applied.ObjectsHash != st.Healthy.ObjectsHash {
		return 0
	}
	return ready.LastTransitionTime.Unix()
}

// opens has the releases of that name looked at whose gates may have waited for this one to be healthy.
func (r *Reconciler) opens(key registry.Key) {
	want := r.desired.Load()
	if want == nil {
		return
	}
	for environment := range want.models.Environments {
		s := r.peek(registry.Key{Environment: environment, Name: key.Name})
		if s == nil || environment == key.Environment {
			continue
		}
		if b := s.back.Load(); b != nil && b.reason == ReasonGateClosed {
			r.enqueue(s.key)
		}
	}
}
