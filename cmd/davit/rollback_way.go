package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// clusterRelease is a release's state in the cluster, or why nobody can have it.
func (a *app) clusterRelease(ctx context.Context, key registry.Key) (*v1alpha1.ModelRelease, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	releases, err := a.clusterReleases(ctx, []string{key.String()})
	switch {
	case err != nil:
		return nil, err
	case len(releases) == 0:
		return nil, fmt.Errorf("it has no %s; davit status lists what it has", key)
	}
	return releases[0], nil
}

// choose decides what to go back to.
func (a *app) choose(ctx context.Context, source *gitops.Source, w *way, mr *v1alpha1.ModelRelease, to string) error {
	now, err := releaseIn(ctx, source, w.tip, w.key)
	if mr != nil && mr.Status.Applied.Commit != "" {
		w.from = mr.Status.Applied
	} else if now != nil {
		w.from = v1alpha1.Revision{Commit: w.tip.String(), Version: now.ModelVersion.Name}
	} else {
		return fmt.Errorf("%s is not in the cluster, and: %w", w.key, err)
	}
	if mr != nil && mr.Spec.Pin != nil && (to == "" || to == mr.Spec.Pin.Version) {
		return a.again(ctx, source, w, mr)
	}
	switch {
	case to == "":
		err = a.lastOther(ctx, source, w, mr)
	case now != nil && hasVersion(ctx, source, w.tip, now, to):
		w.good, w.to, w.alone = w.tip, to, true
		if to == w.from.Version {
			return fmt.Errorf("%s is at %s already; davit history %[1]s lists others", w.key, to)
		}
		return nil
	default:
		if w.good, err = source.Resolve(ctx, to); err != nil {
			err = fmt.Errorf("%q is no version of the model at %.12s, and: %w; davit history %s lists both", to, w.tip, err, w.key)
		}
	}
	if err != nil {
		return err
	}
	return w.check(ctx, source)
}

// check holds the commit gone to against the branch: it must be in its history, where the controller finds it, and ask
// for something else than the branch does.
func (w *way) check(ctx context.Context, source *gitops.Source) error {
	was, err := releaseIn(ctx, source, w.good, w.key)
	if err != nil {
		return err
	}
	if w.to == "" {
		w.to = was.ModelVersion.Name
	}
	w.alone = was.ModelVersion.Name != w.to // it was pinned to that version, too
	if in, err := source.IsAncestor(ctx, w.good, w.tip); err != nil || !in {
		return errors.Join(err, fmt.Errorf("%.12s is not in the history of %.12s, which is followed as far as is known here; git fetch brings what is newer, --branch names another", w.good, w.tip))
	}
	files, err := w.files(ctx, source)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("the files of %s on the branch are those of %.12s already; davit status %s shows what keeps them from the cluster", w.key, w.good, w.key)
	}
	return err
}

// again takes up a rollback that came no further than its pin.
func (a *app) again(ctx context.Context, source *gitops.Source, w *way, mr *v1alpha1.ModelRelease) error {
	p := mr.Spec.Pin
	w.pinned, w.good, w.to, w.alone = true, gitops.ParseHash(p.Commit), p.Version, p.Version != ""
	for _, o := range mr.Status.Outcomes {
		if o.Outcome == v1alpha1.Pinned {
			w.from = v1alpha1.Revision{Commit: o.Commit, Version: o.Version}
			break
		}
	}
	if w.alone {
		w.good = w.tip
		return nil
	}
	was, err := releaseIn(ctx, source, w.good, w.key)
	if err == nil {
		w.to = was.ModelVersion.Name
	}
	return err
}

// lastOther finds the last revision that was healthy with another version and that nobody turned away from since, as the
// cluster or the outcomes in Git tell.
func (a *app) lastOther(ctx context.Context, source *gitops.Source, w *way, mr *v1alpha1.ModelRelease) error {
	left := map[string]bool{}
	if mr != nil {
		for _, o := range mr.Status.Outcomes {
			if o.Outcome == v1alpha1.Healthy && o.Version != w.from.Version && !left[o.Version] {
				w.good, w.to = gitops.ParseHash(o.Commit), o.Version
				return nil
			}
			left[o.Version] = left[o.Version] || o.Outcome == v1alpha1.Pinned || o.Outcome == v1alpha1.Failed
		}
	}
	last, err := history.New(history.Config{Source: source}).LastHealthy(ctx, w.tip, w.key, w.from.Version)
	if err != nil {
		return err
	}
	if last == nil || left[last.To] {
		return fmt.Errorf("nothing tells of another version of %s that was healthy and is not given up; name one with --to VERSION or --to REV", w.key)
	}
	w.good, w.to = gitops.ParseHash(last.Commit), last.To
	return nil
}

// releaseIn is a release at a commit.
func releaseIn(ctx context.Context, source *gitops.Source, commit gitops.Hash, key registry.Key) (*registry.Release, error) {
	snapshot, err := source.Snapshot(ctx, commit)
	if err != nil {
		return nil, err
	}
	models, err := registry.LoadRelease(snapshot, key)
	if err != nil {
		return nil, err
	}
	if r := models.Release(key); r != nil {
		return r, nil
	}
	if faults := models.Broken[key]; len(faults) > 0 {
		return nil, fmt.Errorf("%s at %.12s: %s", key, commit, faults[0])
	}
	return nil, fmt.Errorf("%s is not in the registry at %.12s; git log releases/%s shows where it was", key, commit, key.Name)
}

func hasVersion(ctx context.Context, source *gitops.Source, commit gitops.Hash, release *registry.Release, version string) bool {
	snapshot, err := source.Snapshot(ctx, commit)
	if err != nil {
		return false
	}
	_, err = snapshot.Stat(path.Join(path.Dir(release.Model.Path), "versions", version+".yaml"))
	return err == nil
}
