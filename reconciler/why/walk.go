package why

import (
	"context"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// found is the commit between two trees that make different things of what is asked for.
type found struct {
	commit        gitops.Commit
	before, after *gitops.Snapshot // before is nil for the first commit
	was, is       sight
}

// walk goes from a tip along first parents to the commit at which what is asked for became what it is; nil when stop
// says so before. A stretch in which the release had a fault belongs to the commit that mended it.
func (a *asker) walk(ctx context.Context, tip *gitops.Snapshot, is sight, stop func(gitops.Commit) (bool, error)) (*found, error) {
	newer := is
	var out, mended *found
	err := a.source.FirstParents(ctx, tip.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		if stop == nil {
			a.trail = append(a.trail, touch{c, paths}) // also what only an earlier or later state of the release opens
		}
		if len(c.Parents) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return touches(p, newer.release, mended != nil) }) {
			return true, nil
		}
		if stop != nil {
			if end, err := stop(c); end || err != nil {
				return false, err
			}
		}
		snapshot, err := a.source.Snapshot(ctx, c.Hash)
		if err != nil {
			return false, err
		}
		f := &found{commit: c, after: snapshot, is: newer}
		if mended != nil {
			f = mended
		}
		if len(c.Parents) > 0 {
			if f.before, err = a.source.Snapshot(ctx, c.Parents[0]); err != nil {
				return false, err
			}
			if f.was, err = a.look(f.before); err != nil {
				return false, err
			}
		}
		switch {
		case len(c.Parents) == 0:
			f.before, f.was = nil, sight{}
			out = f
		case f.was.fault != nil:
			mended = f
			return true, nil
		case f.was.same(newer) && (f.was.release == nil) == (newer.release == nil):
			mended, newer = nil, f.was
			return true, nil
		default:
			out = f
		}
		return false, nil
	})
	return out, err
}

// touches says whether a change of a file may change the release. While the release is broken nobody knows what it
// stands on.
func touches(path string, release *registry.Release, broken bool) bool {
	if release != nil && !broken {
		return release.Opens(path)
	}
	top, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{"davit.yaml", "environments", "runtimes", "accelerators", "models", "releases", "teams"}, top)
}

// maxMerged bounds how far a merged branch is gone back.
const maxMerged = 200

// written is the commit of a merged branch that brought the change.
func (a *asker) written(ctx context.Context, f *found) (*gitops.Commit, error) {
	if len(f.commit.Parents) < 2 {
		return nil, nil
	}
	branch, err := a.source.Snapshot(ctx, f.commit.Parents[1])
	if err != nil {
		return nil, err
	}
	is, err := a.look(branch)
	if err != nil || !is.same(f.is) {
		return nil, err
	}
	looked := 0
	from, err := a.walk(ctx, branch, is, func(c gitops.Commit) (bool, error) {
		if looked++; looked > maxMerged {
			return true, nil
		}
		return a.source.IsAncestor(ctx, c.Hash, f.commit.Parents[0])
	})
	if err != nil || from == nil {
		return nil, err
	}
	return &from.commit, nil
}
