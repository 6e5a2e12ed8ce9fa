package main

import (
	"context"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// checkout is how a worktree stands to HEAD.
type checkout struct {
	head  *gitops.Snapshot
	dirty []string // ordered
}

func newCheckout(ctx context.Context, source *gitops.Source, head gitops.Hash, dirty []string) (*checkout, error) {
	snapshot, err := source.Snapshot(ctx, head)
	if err != nil {
		return nil, err
	}
	return &checkout{snapshot, dirty}, nil
}

// BlobHash is HEAD's of each file that git says is as it is there. So a file that Git LFS or line endings turned into
// something else counts as what is committed.
func (w worktree) BlobHash(name string) (string, error) {
	if c := w.checkout; c != nil && !c.isDirty(name) {
		if hash, err := c.head.BlobHash(name); err == nil {
			return hash, nil
		}
	}
	return registry.BlobHash(w.FS, name)
}

func (c *checkout) isDirty(name string) bool {
	_, dirty := slices.BinarySearchFunc(c.dirty, name, strings.Compare)
	return dirty
}

// changed lists, sorted, the files of the worktree that differ from a commit.
func (c *checkout) changed(ctx context.Context, base *gitops.Snapshot) ([]string, error) {
	names, err := c.head.Changed(ctx, base)
	if err != nil {
		return nil, err
	}
	names = append(names, c.dirty...)
	slices.Sort(names)
	return slices.Compact(names), nil
}
