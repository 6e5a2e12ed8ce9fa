package reconciler

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// desired is what one commit asks for. It is immutable.
type desired struct {
	snapshot *gitops.Snapshot
	models   *registry.Registry
	keys     map[registry.Key]string      // inputKey per sound release
	since    map[registry.Key]gitops.Hash // the newest commit that may have changed the release
	refused  map[string]string            // environment -> why nothing of it is deleted
	seen     time.Time                    // when the commit was seen
}

// desire computes the input keys of a snapshot and which commit each changed release comes from.
func (r *Reconciler) desire(ctx context.Context, snapshot *gitops.Snapshot, models *registry.Registry) (*desired, error) {
	next := &desired{snapshot: snapshot, models: models, keys: map[registry.Key]string{}, since: map[registry.Key]gitops.Hash{}, seen: time.Now()}
	for _, release := range models.Releases {
		key, err := inputKey(release, snapshot)
		if err != nil {
			return nil, fmt.Errorf("hashing the inputs of %s: %w", release.Key(), err)
		}
		next.keys[release.Key()] = key
	}
	if err := r.attribute(ctx, next); err != nil {
		return nil, err
	}
	next.refused = r.guard(next)
	return next, nil
}

// inputKey covers the versions of the image layout and of the renderer too.
func inputKey(release *registry.Release, snapshot *gitops.Snapshot) (string, error) {
	return release.InputKey(snapshot, "layout "+strconv.Itoa(image.LayoutVersion), "renderer "+strconv.Itoa(render.Version))
}

// attribute finds, for each release whose inputs moved, the newest first-parent commit that touched a file
// it is rendered from.
func (r *Reconciler) attribute(ctx context.Context, next *desired) error {
	before := r.desired.Load()
	moved := map[registry.Key]*registry.Release{}
	for _, release := range next.models.Releases {
		key := release.Key()
		switch {
		case before != nil && before.keys[key] == next.keys[key]:
			next.since[key] = before.since[key]
		case before != nil && before.keys[key] == "": // new, or broken until now: an older commit may not hold it
			next.since[key] = next.snapshot.Hash()
		default:
			moved[key] = release
			next.since[key] = next.snapshot.Hash()
		}
	}
	if len(moved) == 0 {
		return nil
	}
	err := r.cfg.Source.FirstParents(ctx, next.snapshot.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		for key, release := range moved {
			for _, p := range paths {
				if release.Opens(p) {
					next.since[key] = c.Hash
					delete(moved, key)
					break
				}
			}
		}
		return len(moved) > 0, nil
	})
	if err != nil {
		return fmt.Errorf("reading history: %w", err)
	}
	return nil
}

// changed lists the releases to work on: those whose recorded inputs are not the desired ones, those not
// settled, and those in the cluster that the registry no longer has.
func (r *Reconciler) changed(next *desired) (keys []registry.Key) {
	for _, release := range next.models.Releases {
		s := r.state(release.Key())
		if recorded := s.recorded.Load(); recorded == nil || *recorded != next.keys[release.Key()] {
			keys = append(keys, release.Key())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.states {
		_, broken := next.models.Broken[key]
		// A broken release may have a rollout or a rollback under way.
		if next.keys[key] == "" && (!broken || s.recorded.Load() == nil) {
			keys = append(keys, key)
		}
	}
	return keys
}

// maxDeletions is how many releases one commit may remove from an environment that says nothing else.
const maxDeletions = 10

// guard says for which environments nothing is deleted, and why.
func (r *Reconciler) guard(next *desired) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := map[string]int{}
	for key, s := range r.states {
		if _, broken := next.models.Broken[key]; next.keys[key] == "" && !broken && s.inCluster.Load() {
			gone[key.Environment]++
		}
	}
	refused := map[string]string{}
	for name, n := range gone {
		env := next.models.Environments[name]
		switch {
		case len(next.keys) == 0:
			refused[name] = "the registry has no releases at all"
		case env == nil:
			refused[name] = fmt.Sprintf("environments/%s/environment.yaml is missing or faulty", name)
		default:
			limit := maxDeletions
			if env.Spec.Prune.MaxDeletions > 0 {
				limit = env.Spec.Prune.MaxDeletions
			}
			if n > limit {
				refused[name] = fmt.Sprintf("%d releases would be deleted and prune.maxDeletions is %d", n, limit)
			}
		}
	}
	return refused
}
