package reconciler

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// candidate is the version that a promotion rule is about now.
type candidate struct {
	version string
	// since is when it became healthy where it comes from; zero for a training's.
	since time.Time
	// eligible says that it may be proposed; else it may be in a while, and what is open stays meanwhile, unless never
	// says why not.
	eligible bool
	never    string
	// again is when to look again; zero where something will come.
	again time.Duration
}

// candidate finds it. What an environment had once it is not promoted to by a rule: whoever left it knew why.
func (r *Reconciler) candidate(ctx context.Context, want *desired, release *registry.Release, open string) (c candidate, err error) {
	if training, ok := strings.CutPrefix(release.Promote.From, "training/"); ok {
		c.version, err = r.trained(ctx, want, release.Model, training)
		if c.eligible = c.version != ""; !c.eligible {
			c.never = fmt.Sprintf("training %s has made no version", training)
		}
	} else {
		c, err = r.servedFrom(ctx, want, release, open)
	}
	if err != nil || c.never != "" {
		return c, err
	}
	c.never, err = r.unpromotable(ctx, want, release, c.version)
	c.eligible = c.eligible && c.never == ""
	return c, err
}

// servedFrom is the version that the rule's environment is to have, eligible when it has been healthy there for long enough.
func (r *Reconciler) servedFrom(ctx context.Context, want *desired, release *registry.Release, open string) (c candidate, err error) {
	rule := release.Promote
	from := registry.Key{Environment: rule.From, Name: release.Name}
	at := want.of(rule.From)
	if at == nil || at.models.Release(from) == nil || at.models.Release(from).Model.Name != release.Model.Name {
		return candidate{never: fmt.Sprintf("%s is not a release of model %s", from, release.Model.Name)}, nil
	}
	c.version = at.models.Release(from).ModelVersion.Name
	v, again, err := r.seen(ctx, want, from)
	switch {
	case err != nil:
		return c, err
	case v == nil:
		return candidate{version: c.version, again: again}, nil
	case v.turnedAway(c.version), open != "" && v.turnedAway(open):
		c.never = fmt.Sprintf("%s has turned away from it", from)
		return c, nil
	}
	if c.since = v.healthyAt(c.version); c.since.IsZero() {
		return candidate{version: c.version, again: again}, nil
	}
	if left := time.Until(c.since.Add(time.Duration(rule.HealthyFor))); left > 0 {
		c.again = left
		return c, nil
	}
	c.eligible, c.again = true, again
	return c, nil
}

// unpromotable says why a release is not promoted to a version by a rule; "" when it may be. History is asked last: it is
// where the outcomes are that the ModelRelease has no room for, and what the branch asked for without one.
func (r *Reconciler) unpromotable(ctx context.Context, want *desired, release *registry.Release, version string) (why string, err error) {
	key, v := release.Key(), release.Model.Versions[version]
	switch {
	case version == release.ModelVersion.Name:
		return fmt.Sprintf("%s has it", key), nil
	case v == nil:
		return fmt.Sprintf("version %s does not exist any more", version), nil
	case v.Bad != nil:
		return fmt.Sprintf("version %s is marked bad", version), nil
	}
	had := fmt.Sprintf("%s had %s before", key, version)
	if st := r.seenHere(key); st != nil {
		if st.held != nil && st.held.Version == version || slices.ContainsFunc(st.outcomes, func(o v1alpha1.Outcome) bool {
			return o.Version == version && o.Outcome != v1alpha1.Superseded || o.Serves != nil && o.Serves.Version == version
		}) {
			return had, nil
		}
	}
	if r.past == nil {
		r.past = history.New(history.Config{Source: r.cfg.Source})
	}
	all, err := r.past.Revisions(ctx, want.snapshot.Hash(), history.Filter{Environment: key.Environment, Release: key.Name, Model: release.Model.Name})
	if err != nil {
		return "", fmt.Errorf("reading the history of %s: %w", key, err)
	}
	for _, rev := range all {
		if rev.To == version || slices.ContainsFunc(rev.Events, func(e gitops.Event) bool { return e.Version == version || e.Serves == version }) {
			return had, nil
		}
	}
	return "", nil
}

// trained is the newest version that a training made: the one whose file came last to the branch, and of those that came
// at once the one with the last name. "" when there is none.
func (r *Reconciler) trained(ctx context.Context, want *desired, model *registry.Model, training string) (string, error) {
	files := map[string]string{}
	for name, v := range model.Versions {
		if madeBy(v.Spec.Lineage.TrainedBy, training) {
			files[v.Path] = name
		}
	}
	if len(files) < 2 {
		for _, name := range files {
			return name, nil
		}
		return "", nil
	}
	id := model.Path + " " + training
	among := strings.Join(slices.Sorted(maps.Keys(files)), " ")
	if last, ok := r.newest[id]; ok && last.among == among {
		return last.version, nil
	}
	newest := ""
	err := r.cfg.Source.FirstParents(ctx, want.snapshot.Hash(), func(_ gitops.Commit, paths []string) (bool, error) {
		for _, p := range paths {
			if name := files[p]; name != "" && (newest == "" || natural(name, newest) > 0) {
				newest = name
			}
		}
		return newest == "", nil
	})
	if err != nil {
		return "", fmt.Errorf("looking for what training %s made last: %w", training, err)
	}
	if r.newest == nil {
		r.newest = map[string]newestVersion{}
	}
	r.newest[id] = newestVersion{newest, among}
	return newest, nil
}

// newestVersion is what a walk through the history found, among these versions' files: they are never changed, only added
// and removed.
type newestVersion struct{ version, among string }

// madeBy says whether a version's lineage names a run of a training: "<training>-<hash>", or the training itself.
func madeBy(trainedBy, training string) bool {
	rest, ok := strings.CutPrefix(trainedBy, training)
	hash, dashed := strings.CutPrefix(rest, "-")
	return ok && (rest == "" || dashed && hash != "" && strings.Trim(hash, "0123456789abcdef") == "")
}

// natural compares names as people count: v9 is before v10.
func natural(a, b string) int {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	for a != "" && b != "" {
		if digit(a[0]) && digit(b[0]) {
			x, y := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
			i, j := len(x)-len(strings.TrimLeft(x, "0123456789")), len(y)-len(strings.TrimLeft(y, "0123456789"))
			if c := cmp.Or(cmp.Compare(i, j), strings.Compare(x[:i], y[:j])); c != 0 {
				return c
			}
			a, b = x[i:], y[j:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// seenAt is how a release stands, by its ModelRelease.
type seenAt struct {
	phase    v1alpha1.Phase
	pending  bool
	version  string    // applied and healthy; "" when those differ
	ready    time.Time // since when it is ready without interruption
	outcomes []v1alpha1.Outcome
	held     *v1alpha1.HeldRevision
	proposed *v1alpha1.Promotion // that is open
}

func seenIn(mr *v1alpha1.ModelRelease) *seenAt {
	st := &mr.Status
	v := &seenAt{phase: st.Phase, pending: mr.Pending(), outcomes: st.Outcomes, held: st.Held.DeepCopy(), proposed: st.Promotion.DeepCopy()}
	if st.Applied.Version == st.Healthy.Version {
		v.version = st.Healthy.Version
	}
	for _, c := range st.Conditions {
		if c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue {
			v.ready = c.LastTransitionTime.Time
		}
	}
	return v
}

// healthyAt is since when a release is healthy at a version, zero when it is not.
func (v *seenAt) healthyAt(version string) (since time.Time) {
	if v.phase == v1alpha1.Healthy && !v.pending && v.version == version {
		since = v.ready
	}
	return since
}

// turnedAway says that a release failed with a version, or a person left it, the last time it had it.
func (v *seenAt) turnedAway(version string) bool {
	if v.held != nil && v.held.Version == version {
		return true
	}
	for _, o := range v.outcomes { // newest first
		if o.Version == version && o.Outcome != v1alpha1.Superseded {
			return o.Outcome != v1alpha1.Healthy
		}
	}
	return false
}

// seenHere is how a release stands by its status as this controller wrote it last; nil when there is none.
func (r *Reconciler) seenHere(key registry.Key) *seenAt {
	r.mu.Lock()
	s := r.states[key]
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.seen.Load()
}

// seen is how a release stands; nil when nobody here can tell. What another controller works on is read from its cluster,
// and again after a while: nothing tells of it.
func (r *Reconciler) seen(ctx context.Context, want *desired, key registry.Key) (v *seenAt, again time.Duration, err error) {
	if r.mine(key.Environment) {
		return r.seenHere(key), 0, nil
	}
	again = max(lookElsewhere, lookElsewhereEach*time.Duration(len(want.models.Releases)))
	site, env := r.site(key.Environment), want.models.Environments[key.Environment]
	if site == nil || env == nil {
		return nil, again, nil
	}
	mr, err := site.cluster.Release(ctx, env.Spec.Namespace, key.Environment, key.Name)
	switch {
	case err != nil:
		return nil, again, fmt.Errorf("looking at %s, which another controller works on: %w", key, err)
	case mr == nil || mr.Spec.Owner != r.cfg.Owner:
		return nil, again, nil
	}
	return seenIn(mr), again, nil
}

// How often a release is read that another controller works on; with many of them less often, some twenty reads a second
// at most.
const (
	lookElsewhere     = 3 * time.Second
	lookElsewhereEach = 50 * time.Millisecond
)
