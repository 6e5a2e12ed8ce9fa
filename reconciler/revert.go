package reconciler

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Revert is what takes one release back in Git.
type Revert struct {
	Files []gitops.FileChange
	// Also names the other releases that stand on one of the files: the same release in other environments.
	Also []registry.Key

	good    gitops.Hash // where the files are from
	version bool        // it is the version alone
}

// NewRevert restores a release's own files, on top of tip, as they were at the commit good. A model version stays in the
// registry: it is immutable, and others may name it. There are no Files where the release's own are the same at both: then
// it is a shared file that differs, or nothing.
func NewRevert(ctx context.Context, source *gitops.Source, tip, good gitops.Hash, key registry.Key) (Revert, error) {
	was, _, err := releaseAt(ctx, source, good, key)
	if err == nil && was == nil {
		err = fmt.Errorf("%s is not in the registry at %.12s, or has a fault there", key, good)
	}
	if err != nil {
		return Revert{}, err
	}
	now, snapshot, err := releaseAt(ctx, source, tip, key)
	if err != nil {
		return Revert{}, err
	}
	now = cmp.Or(now, was)
	same := now.ModelVersion.Path == was.ModelVersion.Path
	files, err := source.Restore(ctx, tip, good, func(name string) bool {
		if name == now.ModelVersion.Path || name == was.ModelVersion.Path {
			return same
		}
		return now.Owns(name) || was.Owns(name)
	})
	if err != nil {
		return Revert{}, fmt.Errorf("taking %s back: %w", key, err)
	}
	return Revert{Files: files, Also: neighbours(snapshot, now, files), good: good}, nil
}

// releaseAt is a release at a commit; nil when it is not there or has a fault.
func releaseAt(ctx context.Context, source *gitops.Source, commit gitops.Hash, key registry.Key) (*registry.Release, *gitops.Snapshot, error) {
	snapshot, err := source.Snapshot(ctx, commit)
	if err != nil {
		return nil, nil, fmt.Errorf("reading commit %s: %w", commit, err)
	}
	if snapshot.Absent() != nil {
		return nil, snapshot, nil
	}
	models, err := registry.LoadRelease(snapshot, key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the registry at %s: %w", commit, err)
	}
	return models.Release(key), snapshot, nil
}

// neighbours are the same release in other environments, where one of the files is theirs, too.
func neighbours(snapshot *gitops.Snapshot, release *registry.Release, files []gitops.FileChange) (also []registry.Key) {
	shared := false
	for _, f := range files {
		own := f.Path == release.Path || strings.HasPrefix(f.Path, path.Join(release.Dir, release.Environment.Name)+"/")
		shared = shared || !own
	}
	if !shared {
		return nil
	}
	entries, err := snapshot.ReadDir(release.Dir)
	if err != nil {
		return nil // it is gone with all its environments
	}
	for _, e := range entries {
		env, isFile := strings.CutSuffix(e.Name(), ".yaml")
		if isFile && env != "serving" && env != "kustomization" && env != release.Environment.Name {
			also = append(also, registry.Key{Environment: env, Name: release.Name})
		}
	}
	return also
}

// revertOf takes a release's held revision back, on top of a commit. A commit that gave the objects which were healthy already did not become
// the last healthy one, and is not taken back with the held one.
func (r *Reconciler) revertOf(ctx context.Context, onto *gitops.Snapshot, key registry.Key, held *v1alpha1.HeldRevision, healthy v1alpha1.Revision) (Revert, error) {
	good := gitops.ParseHash(healthy.Commit)
	was, _, err := releaseAt(ctx, r.cfg.Source, good, key)
	if err != nil {
		return Revert{}, err
	}
	if was == nil || was.ModelVersion.Name != healthy.Version { // a person had pinned that version
		return versionRevert(onto, key, healthy)
	}
	c, err := r.cfg.Source.Commit(ctx, gitops.ParseHash(held.Commit))
	if err != nil {
		return Revert{}, err
	}
	if len(c.Parents) > 0 {
		same, err := r.gives(ctx, c.Parents[0], key, healthy)
		if err != nil {
			return Revert{}, err
		}
		if same {
			good = c.Parents[0]
		}
	}
	return NewRevert(ctx, r.cfg.Source, onto.Hash(), good, key)
}

// gives says whether a release has the objects of a revision at a commit.
func (r *Reconciler) gives(ctx context.Context, commit gitops.Hash, key registry.Key, rev v1alpha1.Revision) (bool, error) {
	release, snapshot, err := releaseAt(ctx, r.cfg.Source, commit, key)
	if err != nil || release == nil || release.ModelVersion.Name != rev.Version {
		return false, err
	}
	objects, err := r.renderer.Release(snapshot, r.withGranted(release), rev.Image)
	return err == nil && objects.Hash == rev.ObjectsHash, nil
}

// versionRevert sets the version of a release back, and changes nothing else.
func versionRevert(snapshot *gitops.Snapshot, key registry.Key, healthy v1alpha1.Revision) (Revert, error) {
	revert := Revert{good: gitops.ParseHash(healthy.Commit), version: true}
	name, text, err := registry.WithVersion(snapshot, key, healthy.Version)
	if err != nil {
		return Revert{}, fmt.Errorf("taking %s back: %w", key, err)
	}
	if now, err := snapshot.ReadFile(name); err != nil || bytes.Equal(now, text) {
		return revert, err
	}
	revert.Files = []gitops.FileChange{{Path: name, Content: text}}
	return revert, nil
}

// touchedOwn says whether a commit changed a file of a release's own.
func (r *Reconciler) touchedOwn(ctx context.Context, key registry.Key, commit gitops.Hash) (own bool, err error) {
	release := r.wanted(key.Environment).models.Release(key) // its own files are those of then, or the hold had ended
	if release == nil {
		if release, _, err = releaseAt(ctx, r.cfg.Source, commit, key); err != nil || release == nil {
			return true, err
		}
	}
	err = r.cfg.Source.FirstParents(ctx, commit, func(_ gitops.Commit, paths []string) (bool, error) {
		own = slices.ContainsFunc(paths, release.Owns)
		return false, nil
	})
	return own, err
}

// undo takes back what of a commit the failed releases stand on: shared files, and nothing of others'. What they stand on
// only since that commit, such as a newer runtime, stays where other releases do, too.
func (r *Reconciler) undo(ctx context.Context, onto *gitops.Snapshot, e errand, failed []registry.Key) (files []gitops.FileChange, conflicts []string, err error) {
	c, err := r.cfg.Source.Commit(ctx, e.commit)
	if err != nil {
		return nil, nil, err
	}
	want := r.wanted(e.key.Environment)
	files, conflicts, err = r.cfg.Source.Undo(ctx, onto.Hash(), e.commit)
	if err != nil {
		return nil, nil, err
	}
	after, err := r.releasesAt(ctx, e.commit, failed)
	if err != nil {
		return nil, nil, err
	}
	var before []*registry.Release
	if len(c.Parents) > 0 {
		if before, err = r.releasesAt(ctx, c.Parents[0], failed); err != nil {
			return nil, nil, err
		}
	}
	others := func(name string) bool {
		opens := func(release *registry.Release) bool { return release.Opens(name) }
		owns := func(release *registry.Release) bool { return release.Owns(name) }
		switch {
		case slices.ContainsFunc(before, owns), slices.ContainsFunc(after, owns):
			return true
		case slices.ContainsFunc(before, opens):
			return false
		}
		return !slices.ContainsFunc(after, opens) || slices.ContainsFunc(want.models.Releases, func(release *registry.Release) bool {
			return release.Opens(name) && !slices.Contains(failed, release.Key())
		})
	}
	files = slices.DeleteFunc(files, func(f gitops.FileChange) bool { return others(f.Path) })
	return files, slices.DeleteFunc(conflicts, others), nil
}

// releasesAt are those of some releases that are sound at a commit.
func (r *Reconciler) releasesAt(ctx context.Context, commit gitops.Hash, keys []registry.Key) (all []*registry.Release, err error) {
	for _, key := range keys {
		release, _, err := releaseAt(ctx, r.cfg.Source, commit, key)
		if err != nil {
			return nil, err
		}
		if release != nil {
			all = append(all, release)
		}
	}
	return all, nil
}
