package reconciler

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// desired is what one commit asks for. It is immutable, and what a commit leaves alone is shared with the one
// before.
type desired struct {
	snapshot *gitops.Snapshot
	models   *registry.Registry
	keys     map[registry.Key]string         // inputKey per sound release
	since    map[registry.Key]gitops.Hash    // the newest commit that may have changed the release
	waves    map[registry.Key]*rollout       // of releases that a shared change moves
	dropped  []registry.Key                  // those that left the waves of the commit before
	users    map[registry.Key][]registry.Key // who depends on a release
	refused  map[string]string               // environment -> why nothing of it is deleted
	seen     time.Time                       // when the commit was seen
	behind   map[string]behind               // environments that do not follow it
	span     trace.SpanContext               // of the commit; none when nothing is traced
	broke    map[registry.Key]gitops.Hash    // the commit at which a release was first seen with a fault
}

// load reads a snapshot's registry: all of it the first time, and then what the commits since have changed.
func (r *Reconciler) load(ctx context.Context, snapshot *gitops.Snapshot) (models *registry.Registry, err error) {
	ctx, traced := stage(ctx, "releases")
	defer func() { traced(err) }()
	before := r.desired.Load()
	if before == nil {
		if ahead := r.ahead; ahead != nil && ahead.snapshot.Hash() == snapshot.Hash() {
			return ahead.models, nil
		}
		return registry.Load(snapshot)
	}
	paths, err := snapshot.Changed(ctx, before.snapshot)
	if err != nil {
		return nil, err
	}
	return before.models.Update(snapshot, paths)
}

// loadAhead reads the registry at the tip as it is known here, while the clusters are being listed. Whatever goes wrong is
// for follow to meet.
func (r *Reconciler) loadAhead(ctx context.Context) {
	tip, err := r.cfg.Source.Tip(ctx)
	if err != nil {
		return
	}
	snapshot, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return
	}
	if models, err := registry.Load(snapshot); err == nil {
		r.ahead = &ahead{snapshot, models}
	}
}

// desire computes the input keys of what a commit touched, and which commit each changed release comes from.
func (r *Reconciler) desire(ctx context.Context, snapshot *gitops.Snapshot, models *registry.Registry) (*desired, error) {
	next := &desired{
		snapshot: snapshot, models: models, seen: time.Now(), span: trace.SpanContextFromContext(ctx),
		keys: map[registry.Key]string{}, since: map[registry.Key]gitops.Hash{}, waves: map[registry.Key]*rollout{},
	}
	before := r.desired.Load()
	r.ahead = nil // of use once
	if before != nil {
		next.keys, next.since, next.waves = maps.Clone(before.keys), maps.Clone(before.since), maps.Clone(before.waves)
	}
	moved := map[registry.Key]*registry.Release{}
	for _, key := range models.Touched() {
		release := models.Release(key)
		if w := next.waves[key]; w != nil && (release == nil || !r.mine(key.Environment)) {
			next.dropped = append(next.dropped, key)
		}
		if release == nil || !r.mine(key.Environment) {
			delete(next.keys, key)
			delete(next.since, key)
			delete(next.waves, key)
			continue
		}
		input, err := InputKey(r.withGranted(release), snapshot)
		if err != nil {
			return nil, fmt.Errorf("hashing the inputs of %s: %w", key, err)
		}
		was := next.keys[key]
		if was == input {
			continue
		}
		next.since[key] = snapshot.Hash()
		switch {
		case before == nil:
			// A release being worked on holds its state for as long as a build takes: later commits must not ask it.
			if since, ok := r.state(key).settledAt(input); ok {
				next.since[key] = since
			} else {
				moved[key] = release
			}
		case was != "": // else it is new, or was broken until now: an older commit may not hold it
			moved[key] = release
		}
		next.keys[key] = input
		if next.waves[key] != nil {
			next.dropped = append(next.dropped, key)
		}
		delete(next.waves, key)
	}
	for key := range r.strays() { // their commit is not in the history any more
		if release := models.Release(key); release != nil {
			moved[key], next.since[key] = release, snapshot.Hash()
		}
	}
	shared, err := r.attribute(ctx, next, moved)
	if err != nil {
		return nil, err
	}
	next.users, next.broke = dependents(models), brokenBy(next, before)
	next.refused = r.guard(next)
	return next, r.plan(ctx, next, shared)
}

// InputKey is the hash of everything that a release is rendered from: its files, and the versions of the image layout and of
// the renderer.
func InputKey(release *registry.Release, files fs.FS) (string, error) {
	return release.InputKey(files, "layout "+strconv.Itoa(image.LayoutVersion), "renderer "+strconv.Itoa(render.Version))
}

// changed lists the releases to work on: those whose recorded inputs are not the desired ones, those not
// settled, and those in the cluster that the registry no longer has. A release whose wave has not come is left.
func (r *Reconciler) changed(tip *desired, touched []registry.Key) (keys []registry.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range touched {
		next := tip.of(key.Environment)
		if r.states[key] == nil && next != nil && next.keys[key] != "" && next.waves[key].open(key) {
			keys = append(keys, key)
		}
	}
	for key, s := range r.states {
		next := tip.of(key.Environment)
		if next == nil {
			continue
		}
		if input := next.keys[key]; input != "" {
			if (!s.at(input) || s.stray.Load() || s.waits()) && next.waves[key].open(key) {
				keys = append(keys, key)
			}
			continue
		}
		// A broken release may have a rollout or a rollback under way.
		if _, broken := next.models.Broken[key]; !broken || s.recorded.Load() == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// waits says that something keeps the release from what was asked of it, which may not be asked any more.
func (s *state) waits() bool { return s.back.Load() != nil || s.trouble.Load() != "" }

// maxDeletions is how many releases one commit may remove from an environment that says nothing else.
const maxDeletions = 10

// guard says for which environments nothing is deleted, and why.
func (r *Reconciler) guard(next *desired) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := map[string]int{}
	for key, s := range r.states {
		if next.keys[key] != "" || !s.inCluster.Load() {
			continue
		}
		if _, broken := next.models.Broken[key]; !broken {
			gone[key.Environment]++
		}
	}
	refused := map[string]string{}
	for name, n := range gone {
		env := next.models.Environments[name]
		switch {
		case len(next.models.Releases) == 0: // not only none of this controller's environments
			refused[name] = "the registry has no releases at all"
		case env == nil:
			refused[name] = fmt.Sprintf("environments/%s/environment.yaml is missing or faulty", name)
		default:
			limit := maxDeletions
			if env.Spec.Prune.MaxDeletions > 0 {
				limit = env.Spec.Prune.MaxDeletions
			}
			if granted := r.cfg.Grants[name].MaxDeletions; granted > 0 {
				limit = min(limit, granted)
			}
			if n > limit {
				refused[name] = fmt.Sprintf("%d releases would be deleted and prune.maxDeletions is %d", n, limit)
			}
		}
	}
	return refused
}
