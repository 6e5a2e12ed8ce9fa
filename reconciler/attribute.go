package reconciler

import (
	"context"
	"fmt"
	"path"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// attribute finds, for each release whose inputs moved, the newest first-parent commit that touched a file it is
// rendered from, and tells which of them that commit moved by files of others alone.
func (r *Reconciler) attribute(ctx context.Context, next *desired, moved map[registry.Key]*registry.Release) (shared []registry.Key, err error) {
	if len(moved) == 0 {
		return nil, nil
	}
	near := index(moved)
	err = r.cfg.Source.FirstParents(ctx, next.snapshot.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		own, opened := map[registry.Key]bool{}, map[registry.Key]bool{}
		for _, p := range paths {
			for _, release := range near.of(p) {
				if key := release.Key(); moved[key] != nil && !own[key] && release.Opens(p) {
					opened[key], own[key] = true, release.Owns(p)
				}
			}
		}
		for key := range opened {
			next.since[key] = c.Hash
			delete(moved, key)
			if !own[key] {
				shared = append(shared, key)
			}
		}
		return len(moved) > 0, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading history: %w", err)
	}
	return shared, nil
}

// folders lists releases by the folders of the files they stand on, so that a path finds its few candidates
// among ten thousand.
type folders map[string][]*registry.Release

func index(releases map[registry.Key]*registry.Release) folders {
	f := folders{}
	for _, r := range releases {
		dirs := []string{".", r.Dir, path.Dir(r.ModelVersion.Path), path.Dir(r.Model.Path), r.Runtime.Dir, path.Dir(r.Environment.Path)}
		if r.Accelerator != nil {
			dirs = append(dirs, r.Accelerator.Dir)
		}
		for _, dir := range dirs {
			f[dir] = append(f[dir], r)
		}
	}
	return f
}

// of lists the releases that may open a path.
func (f folders) of(name string) (near []*registry.Release) {
	if path.Dir(name) == "." {
		return f["."]
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		near = append(near, f[dir]...)
	}
	return near
}
