package gitops

import (
	"context"
	"fmt"
)

// Restore gives the changes that make the paths for which owns holds, on top of tip, as they are at good. Unlike `git
// revert` it looks at two states and not at what lies between: merges and later changes of other paths are no conflict,
// and what else the bad commit changed stays.
func (s *Source) Restore(ctx context.Context, tip, good Hash, owns func(path string) bool) ([]FileChange, error) {
	paths, err := s.between(ctx, tip, good)
	if err != nil {
		return nil, fmt.Errorf("comparing %.12s with %.12s: %w", tip, good, err)
	}
	var changes []FileChange
	for _, p := range paths {
		if owns(p) {
			changes = append(changes, FileChange{Path: p, From: good})
		}
	}
	return changes, nil
}

// Undo gives the changes that take all of a commit back, a merge against its first parent. A path that changed since is
// not touched: it is in conflicts, for a person. One that is back already needs nothing.
func (s *Source) Undo(ctx context.Context, tip, bad Hash) (changes []FileChange, conflicts []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("undoing %.12s: %w", bad, err)
		}
	}()
	c, err := s.Commit(ctx, bad)
	if err != nil {
		return nil, nil, err
	}
	var parent Hash // zero for a first commit, before which nothing was
	if len(c.Parents) > 0 {
		parent = c.Parents[0]
	}
	paths, err := s.between(ctx, parent, bad)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range paths {
		var was leaf
		if !parent.IsZero() {
			if was, err = s.leafAt(ctx, parent, p); err != nil {
				return nil, nil, err
			}
		}
		made, err := s.leafAt(ctx, bad, p)
		if err != nil {
			return nil, nil, err
		}
		now, err := s.leafAt(ctx, tip, p)
		switch {
		case err != nil:
			return nil, nil, err
		case now == was:
		case now == made:
			changes = append(changes, FileChange{Path: p, From: parent, Delete: parent.IsZero()})
		default:
			conflicts = append(conflicts, p)
		}
	}
	return changes, conflicts, nil
}

// between lists the paths below the folder that differ between two commits; the zero hash is one without files.
func (s *Source) between(ctx context.Context, a, b Hash) ([]string, error) {
	return s.differ(ctx, a, b, s.content)
}

// anywhere lists the paths that differ, from the repository's root.
func (s *Source) anywhere(ctx context.Context, a, b Hash) ([]string, error) {
	return s.differ(ctx, a, b, s.commit)
}

func (s *Source) differ(ctx context.Context, a, b Hash, read func(context.Context, Hash) (Commit, Hash, error)) ([]string, error) {
	var trees [2]Hash
	for i, h := range []Hash{a, b} {
		if h.IsZero() {
			continue
		}
		var err error
		if _, trees[i], err = read(ctx, h); err != nil {
			return nil, err
		}
	}
	return s.trees.changed(ctx, trees[0], trees[1])
}
