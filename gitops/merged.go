package gitops

import (
	"container/heap"
	"context"
	"fmt"
)

// Merged yields the commits that a merge brought in, with the sorted paths each changed against its first parent: those
// that `git rev-list merge ^merge^1` lists, less the merge, in no order to rely on. Of a commit that is no merge there are
// none. fn ends it with more == false. Clocks that are far off may have it yield commits that were there before, too.
func (s *Source) Merged(ctx context.Context, merge Hash, fn func(Commit, []string) (more bool, err error)) error {
	m, err := s.Commit(ctx, merge)
	if err != nil || len(m.Parents) < 2 {
		return err
	}
	w := &sinceWalk{source: s, old: map[Hash]bool{}, queued: map[Hash]bool{}}
	if err := w.push(ctx, m.Parents[0], true); err != nil {
		return err
	}
	for _, p := range m.Parents[1:] {
		if err := w.push(ctx, p, false); err != nil {
			return err
		}
	}
	shallow, err := s.store.shallow()
	if err != nil {
		return err
	}
	var all []Hash
	for w.fresh > 0 {
		c := heap.Pop(&w.queue).(Commit)
		w.queued[c.Hash] = false
		if !w.old[c.Hash] {
			w.fresh--
			all = append(all, c.Hash)
		}
		if shallow[c.Hash] {
			continue
		}
		for _, p := range c.Parents {
			if err := w.push(ctx, p, w.old[c.Hash]); err != nil {
				return fmt.Errorf("walking what %s merged: %w", merge, err)
			}
		}
	}
	for _, h := range all {
		if w.old[h] {
			continue
		}
		c, paths, err := s.changed(ctx, h, shallow[h])
		if err != nil {
			return fmt.Errorf("walking what %s merged: %w", merge, err)
		}
		if more, err := fn(c, paths); err != nil || !more {
			return err
		}
	}
	return nil
}

// changed reads a commit and what it changed against its first parent, or all its files where it has none here.
func (s *Source) changed(ctx context.Context, h Hash, shallow bool) (c Commit, paths []string, err error) {
	c, tree, err := s.content(ctx, h)
	if err != nil {
		return c, nil, err
	}
	var before Hash
	if len(c.Parents) > 0 && !shallow {
		if _, before, err = s.content(ctx, c.Parents[0]); err != nil {
			return c, nil, err
		}
	}
	paths, err = s.trees.changed(ctx, before, tree)
	return c, paths, err
}
