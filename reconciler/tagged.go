package reconciler

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Where tags are followed, proposals go to the repository's default branch, made on what that has by then. They are merged by
// people alone: a rule looks at what is followed, and what it merged would be followed only when somebody tags it. What the
// branch has of a release already is not proposed again while it waits for its tag.

// untagged is why nothing is committed to the branch without a person; "" where the branch itself is followed.
func (r *Reconciler) untagged() string {
	if !r.cfg.Source.Tagged() {
		return ""
	}
	return fmt.Sprintf("%s is followed, and not branch %s; a person is to merge it, and to tag what is to be followed", r.cfg.Source.Following(), r.cfg.Source.Branch())
}

// base is the commit that proposals are made on: the followed one, or the branch's where tags are followed.
func (r *Reconciler) base(ctx context.Context, want *desired) (*gitops.Snapshot, error) {
	if !r.cfg.Source.Tagged() {
		return want.snapshot, nil
	}
	tip, err := r.cfg.Source.Base(ctx)
	if err != nil {
		return nil, err
	}
	if tip == want.snapshot.Hash() {
		return want.snapshot, nil
	}
	snapshot, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return nil, err
	}
	if err := snapshot.Absent(); err != nil {
		return nil, fmt.Errorf("proposing on branch %s: %w", r.cfg.Source.Branch(), err)
	}
	return snapshot, nil
}

// onBase is what is wanted, with the registry that proposals are made on.
func (r *Reconciler) onBase(ctx context.Context, want *desired) (*desired, error) {
	snapshot, err := r.base(ctx, want)
	if err != nil || snapshot == want.snapshot {
		return want, err
	}
	models, err := registry.Load(snapshot)
	if err != nil {
		return nil, fmt.Errorf("reading the registry at %s: %w", snapshot.Hash(), err)
	}
	next := *want
	next.snapshot, next.models = snapshot, models
	return &next, nil
}

// wentOn says whether the branch that proposals go to has other files of a release's own than what is followed.
func (r *Reconciler) wentOn(ctx context.Context, want *desired, base *gitops.Snapshot, key registry.Key) (bool, error) {
	release := want.models.Release(key)
	if base == want.snapshot || release == nil {
		return false, nil
	}
	paths, err := base.Changed(ctx, want.snapshot)
	return slices.ContainsFunc(paths, release.Owns), err
}

// versionOnBranch is the version of a release that the branch has and the followed tag has not; "" where it is the same.
func (r *Reconciler) versionOnBranch(ctx context.Context, want *desired, key registry.Key) (string, error) {
	base, err := r.base(ctx, want)
	if err != nil || base == want.snapshot {
		return "", err
	}
	models, err := registry.LoadRelease(base, key)
	if err != nil {
		return "", fmt.Errorf("reading the registry at %s: %w", base.Hash(), err)
	}
	now, followed := models.Release(key), want.models.Release(key)
	if now == nil || followed == nil || now.ModelVersion.Name == followed.ModelVersion.Name {
		return "", nil
	}
	return now.ModelVersion.Name, nil
}

// rewritten says that the tip does not come after what was followed.
func (r *Reconciler) rewritten(old, tip gitops.Hash) *RewrittenError {
	e := &RewrittenError{Old: old, New: tip, Known: r.cfg.Source.Has(old)}
	if r.cfg.Source.Tagged() {
		e.Tag = r.cfg.Source.Revision(tip)
	}
	return e
}

// wholeOrFolder is a commit's registry: that of the folder, or of the root where the commit is from before the registry moved
// into the folder. Else a release could not go back across the move.
func wholeOrFolder(snapshot *gitops.Snapshot) (*gitops.Snapshot, error) {
	absent := snapshot.Absent()
	if absent == nil {
		return snapshot, nil
	}
	whole := snapshot.Whole()
	if _, err := fs.Stat(whole, "davit.yaml"); err != nil {
		return nil, absent
	}
	return whole, nil
}

// place says in which folder the registry is, where it is not the whole repository.
func (r *Reconciler) place() string {
	if folder := r.cfg.Source.Folder(); folder != "" {
		return " in " + folder
	}
	return ""
}
