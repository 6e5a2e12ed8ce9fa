package why

import (
	"context"

	"github.com/davit-dev/davit/gitops"
)

// blame finds the commit of each line that has none yet, along first parents: first those the walk has seen, then on.
func (a *asker) blame(ctx context.Context, f *found, out *Answer) error {
	b := blamer{ctx: ctx, source: a.source}
	for i := range out.Lines {
		if line := &out.Lines[i]; line.Commit.Hash.IsZero() {
			b.left = append(b.left, &open{line, line.Number})
		}
	}
	for _, t := range a.trail {
		if err := b.step(t.commit, t.paths); err != nil {
			return err
		}
	}
	if len(b.left) == 0 || len(f.commit.Parents) == 0 {
		return nil
	}
	return a.source.FirstParents(ctx, f.commit.Parents[0], func(c gitops.Commit, paths []string) (bool, error) {
		err := b.step(c, paths)
		return len(b.left) > 0, err
	})
}

// open is a line whose commit is sought, and where it is in the tree that was reached.
type open struct {
	line   *Line
	number int
}

type blamer struct {
	ctx    context.Context
	source *gitops.Source
	left   []*open
}

// step takes the lines from a commit's tree to its parent's.
func (b *blamer) step(c gitops.Commit, paths []string) error {
	for _, p := range paths {
		var here, rest []*open
		for _, o := range b.left {
			if o.line.Path == p {
				here = append(here, o)
			} else {
				rest = append(rest, o)
			}
		}
		if len(here) == 0 {
			continue
		}
		changes, created, err := b.changes(c, p)
		if err != nil {
			return err
		}
		for _, o := range here {
			if !created {
				o.number = backward(changes, o.number)
			}
			if created || o.number == 0 {
				o.line.Commit = c
				continue
			}
			rest = append(rest, o)
		}
		b.left = rest
	}
	return nil
}

// changes are what a commit did to a file, and whether it brought it.
func (b *blamer) changes(c gitops.Commit, path string) (changes []hunk, created bool, err error) {
	if len(c.Parents) == 0 {
		return nil, true, nil
	}
	before, err := b.source.Snapshot(b.ctx, c.Parents[0])
	if err != nil {
		return nil, false, err
	}
	after, err := b.source.Snapshot(b.ctx, c.Hash)
	if err != nil {
		return nil, false, err
	}
	old, err := content(before, path)
	if err != nil || old == nil {
		return nil, old == nil, err
	}
	new, err := content(after, path)
	return hunks(path, old, new), false, err
}
