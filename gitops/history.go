package gitops

import (
	"container/heap"
	"context"
	"fmt"
)

// FirstParents yields commits from tip along first parents, newest first, with the sorted paths each
// changed against its first parent, as `git log --first-parent -m --no-renames --name-only` does. The last
// commit of a history, or of a shallow one, adds all its files. fn ends the walk with more == false.
//
// Walking from new to old, a commit's trees are its child's parent trees, so they are read once; the
// cache below keeps them. (go-git's own Log with a file name takes minutes on 10,000-entry folders.)
func (s *Source) FirstParents(ctx context.Context, tip Hash, fn func(Commit, []string) (more bool, err error)) error {
	shallow, err := s.store.shallow()
	if err != nil {
		return err
	}
	c, tree, err := s.content(ctx, tip)
	for more := true; more; {
		if err != nil {
			return fmt.Errorf("walking the history of %s: %w", tip, err)
		}
		if shallow[c.Hash] {
			c.Parents = nil // they are not here, as `git log` tells it too
		}
		last := len(c.Parents) == 0
		var parent Commit
		var parentTree Hash
		if !last {
			if parent, parentTree, err = s.content(ctx, c.Parents[0]); err != nil {
				continue
			}
		}
		var paths []string
		if paths, err = s.trees.changed(ctx, parentTree, tree); err != nil {
			continue
		}
		if more, err = fn(c, paths); err != nil {
			return err
		}
		if last {
			return nil
		}
		c, tree = parent, parentTree
	}
	return nil
}

// Shallow says whether a commit's parents were left out of the clone, so that it seems to add all its files.
func (s *Source) Shallow(commit Hash) (bool, error) {
	all, err := s.store.shallow()
	return all[commit], err
}

// IsAncestor reports whether b's history contains a; a commit is its own ancestor.
func (s *Source) IsAncestor(ctx context.Context, a, b Hash) (bool, error) {
	if a == b {
		return true, nil
	}
	if _, err := s.Commit(ctx, a); err != nil {
		return false, err
	}
	left := map[Hash]bool{a: true}
	err := s.seek(ctx, b, left)
	return len(left) == 0, err
}

// seek takes the commits of tip's history, but not tip, out of left, until it is empty. Clocks are only used to look at
// likely commits first, so a wrong one costs time and not the answer.
func (s *Source) seek(ctx context.Context, tip Hash, left map[Hash]bool) error {
	shallow, err := s.store.shallow()
	if err != nil {
		return err
	}
	seen := map[Hash]bool{tip: true}
	start, err := s.Commit(ctx, tip)
	if err != nil {
		return err
	}
	for queue := (newest{start}); len(queue) > 0; {
		c := heap.Pop(&queue).(Commit)
		if shallow[c.Hash] {
			continue
		}
		for _, p := range c.Parents {
			if delete(left, p); len(left) == 0 {
				return nil
			}
			if seen[p] {
				continue
			}
			seen[p] = true
			pc, err := s.Commit(ctx, p)
			if err != nil {
				return err
			}
			heap.Push(&queue, pc)
		}
	}
	return nil
}

// IsFirstParent reports whether a is b or one of the commits along its first parents. One that a shallow repository does
// not have is not.
func (s *Source) IsFirstParent(ctx context.Context, a, b Hash) (bool, error) {
	shallow, err := s.store.shallow()
	for c := (Commit{Parents: []Hash{b}}); err == nil && len(c.Parents) > 0 && !shallow[c.Hash]; {
		if c.Parents[0] == a {
			return true, nil
		}
		c, err = s.Commit(ctx, c.Parents[0])
	}
	return false, err
}

// newest is a heap of commits, latest first.
type newest []Commit

func (q newest) Len() int           { return len(q) }
func (q newest) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q newest) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *newest) Push(x any)        { *q = append(*q, x.(Commit)) }
func (q *newest) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}
