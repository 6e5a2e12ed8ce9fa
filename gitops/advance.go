package gitops

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Advance commits a proposal's files onto the followed branch itself and returns the commit; the proposal's branch is not
// looked at, unless merged is not zero: then the commit merges that one, too. The followed branch must be at the base:
// ErrMoved when it is elsewhere. It is ErrReadOnly where nobody may write to it, or a worktree has it checked out, and
// ErrNoChange where the files are so already.
func (s *Source) Advance(ctx context.Context, p Proposal, merged Hash) (Hash, error) {
	h, err := s.advance(ctx, p, merged)
	if err != nil {
		return Hash{}, fmt.Errorf("committing to %s: %w", s.branch, err)
	}
	return h, nil
}

func (s *Source) advance(ctx context.Context, p Proposal, merged Hash) (Hash, error) {
	if s.branch == "" {
		return Hash{}, errDetached
	}
	if p.When.IsZero() {
		p.When = time.Now()
	}
	b := s.newBatch()
	tree, err := s.changedTree(ctx, b, p)
	if err != nil {
		return Hash{}, err
	}
	parents := []Hash{p.Base}
	if !merged.IsZero() {
		parents = append(parents, merged)
	}
	h, err := b.commit(p.Author, tree, parents, p.When, p.Message)
	if err != nil {
		return Hash{}, err
	}
	return h, s.publish(ctx, b, refUpdate{plumbing.NewBranchReferenceName(s.branch), p.Base, h})
}

// Differ lists the paths that differ between two commits, sorted. With a folder it tells of the others, too, which begin
// with a slash: what is merged is the whole commit.
func (s *Source) Differ(ctx context.Context, a, b Hash) ([]string, error) {
	paths, err := s.anywhere(ctx, a, b)
	if err != nil {
		return nil, fmt.Errorf("comparing %.12s with %.12s: %w", a, b, err)
	}
	for i := range paths {
		paths[i] = s.inFolder(paths[i])
	}
	slices.Sort(paths)
	return paths, nil
}
