package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// target is the revision a release is to be at: the tip's, or its last healthy one while a failed one is
// held. A release that the tip breaks stays where it is. Nil means that the registry has no such release.
func (r *Reconciler) target(ctx context.Context, want *desired, s *state) (*target, error) {
	if t, err := r.pinned(ctx, want, s); t != nil || err != nil {
		return t, err
	}
	release := want.models.Release(s.key)
	if release == nil {
		if _, broken := want.models.Broken[s.key]; !broken {
			return nil, nil
		}
		return r.asItIs(ctx, want, s)
	}
	tip := &target{commit: want.since[s.key], snapshot: want.snapshot, release: r.withGranted(release), key: want.keys[s.key], seen: want.seen}
	if s.unknown() {
		if regained, err := r.regain(ctx, want, s, tip); regained && err == nil {
			return r.target(ctx, want, s)
		} else if err != nil {
			return nil, err
		}
		return tip, nil
	}
	if s.release == nil || s.release.Status.Held == nil {
		return tip, nil
	}
	ended, err := r.holdEnded(ctx, want, s, release)
	switch {
	case err != nil:
		return nil, err
	case ended && s.stays(tip) != nil && s.goesBack(tip):
		return r.lastHealthy(ctx, s)
	case ended || tip.key == s.release.Status.Healthy.InputKey: // or there is nothing left to hold back
		tip.unheld, s.release.Status.Held = s.release.Status.Held, nil
		return tip, nil
	case s.release.Status.Healthy.Commit == "" || release.Environment.Spec.Rollback.OnFailure == "hold":
		tip.stay = true
		return tip, nil
	}
	return r.lastHealthy(ctx, s)
}

// asItIs is the target of a release for which nothing new can be had: what is applied goes on to its outcome, a
// rollback included.
func (r *Reconciler) asItIs(ctx context.Context, want *desired, s *state) (*target, error) {
	switch {
	case s.release == nil || s.release.Status.Applied.Commit == "":
		return &target{stay: true}, nil
	case s.release.Status.Held == nil:
		t, err := r.at(ctx, s, s.release.Status.Applied, want.seen)
		if err == nil {
			t.kept = true
		}
		return t, err
	case s.release.Status.Healthy.Commit == "":
		return &target{stay: true}, nil
	}
	healthy, err := r.lastHealthy(ctx, s)
	if err == nil && healthy.release.Environment.Spec.Rollback.OnFailure == "hold" {
		healthy.stay = true
	}
	return healthy, err
}

// holdEnded says whether a first-parent commit after the held one changed a file of the release's own. A
// held commit that is no longer in the history ends its hold too.
func (r *Reconciler) holdEnded(ctx context.Context, want *desired, s *state, release *registry.Release) (bool, error) {
	tip, held := want.snapshot.Hash(), s.release.Status.Held.Commit
	if s.looked == tip {
		return false, nil
	}
	ended, found := false, false
	err := r.cfg.Source.FirstParents(ctx, tip, func(c gitops.Commit, paths []string) (bool, error) {
		if c.Hash.String() == held || c.Hash == s.looked {
			found = true
			return false, nil
		}
		for _, p := range paths {
			ended = ended || release.Owns(p)
		}
		return !ended, nil
	})
	if err != nil {
		return false, fmt.Errorf("reading the history since %s: %w", held, err)
	}
	if ended = ended || !found; !ended {
		s.looked = tip
	}
	return ended, nil
}

// lastHealthy is the release as it was at its last healthy revision, shared files included.
func (r *Reconciler) lastHealthy(ctx context.Context, s *state) (*target, error) {
	t, err := r.at(ctx, s, s.release.Status.Healthy, s.release.Status.Held.Time.Time)
	if err != nil {
		return nil, fmt.Errorf("going back to the last healthy revision: %w; change the release's files, and the hold ends", err)
	}
	t.rollback = true
	return t, nil
}

// at is the release as it was at a revision: its commit's, shared files included, at its version, which is another one
// when a person pinned the version alone. A commit at which there is no such release is a *stuckError.
func (r *Reconciler) at(ctx context.Context, s *state, rev v1alpha1.Revision, seen time.Time) (*target, error) {
	hash, err := r.cfg.Source.Resolve(ctx, rev.Commit)
	if err != nil {
		return nil, &stuckError{err}
	}
	snapshot, err := r.cfg.Source.Snapshot(ctx, hash)
	if err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", rev.Commit, err)
	}
	if snapshot, err = wholeOrFolder(snapshot); err != nil {
		return nil, &stuckError{err}
	}
	t := &target{commit: hash, snapshot: snapshot, seen: seen}
	t.release, err = releaseIn(snapshot, s.key)
	var faulty *stuckError
	if rev.Version != "" && (errors.As(err, &faulty) || err == nil && t.release.ModelVersion.Name != rev.Version) {
		edited, editErr := withVersion(snapshot, s.key, rev.Version)
		if editErr != nil {
			return nil, &stuckError{fmt.Errorf("commit %.12s: %w", rev.Commit, editErr)}
		}
		t.snapshot = edited
		t.release, err = releaseIn(edited, s.key)
	}
	if err != nil {
		return nil, fmt.Errorf("commit %.12s: %w", rev.Commit, err)
	}
	t.release = r.withGranted(t.release)
	t.key, err = InputKey(t.release, t.snapshot)
	return t, err
}

// releaseIn reads one release of a tree.
func releaseIn(files fs.FS, key registry.Key) (*registry.Release, error) {
	models, err := registry.LoadRelease(files, key)
	if err != nil {
		if errors.Is(err, registry.ErrNoRegistry) {
			err = &stuckError{err}
		}
		return nil, fmt.Errorf("reading the registry: %w", err)
	}
	if release := models.Release(key); release != nil {
		return release, nil
	}
	if faults := models.Broken[key]; len(faults) > 0 {
		return nil, &stuckError{fmt.Errorf("%s has a fault there: %s", key, faults[0])}
	}
	return nil, &stuckError{fmt.Errorf("%s is not in the registry there", key)}
}
