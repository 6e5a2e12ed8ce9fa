package gitops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Branches are the branches of the repository, of the remote itself for a mirror, whose names begin with prefix, and
// their commits; those need not be in the mirror.
func (s *Source) Branches(ctx context.Context, prefix string) (map[string]Hash, error) {
	prefix = "refs/heads/" + prefix
	found := map[string]Hash{}
	if s.mirror == nil {
		refs, err := s.store.refs(func(name string) bool { return strings.HasPrefix(name, prefix) })
		for name, h := range refs {
			found[strings.TrimPrefix(name, "refs/heads/")] = h
		}
		return found, err
	}
	refs, err := s.mirror.list(ctx)
	for _, r := range refs {
		if r.Type() == plumbing.HashReference && strings.HasPrefix(r.Name().String(), prefix) {
			found[r.Name().Short()] = r.Hash()
		}
	}
	return found, err
}

// DeleteBranch deletes a proposal's branch that is at old; ErrMoved when it is elsewhere, nil when it is gone already.
func (s *Source) DeleteBranch(ctx context.Context, branch string, old Hash) error {
	name, err := s.ownBranch(branch)
	if err == nil {
		err = s.publish(ctx, nil, refUpdate{name: name, old: old})
	}
	if err != nil {
		return fmt.Errorf("deleting branch %s: %w", branch, err)
	}
	return nil
}

// ownBranch is the ref of a branch that davit may write as a proposal.
func (s *Source) ownBranch(branch string) (plumbing.ReferenceName, error) {
	name := plumbing.NewBranchReferenceName(branch)
	switch {
	case !strings.HasPrefix(branch, ownPrefix), name.Validate() != nil:
		return "", fmt.Errorf("%q is not the name of a branch below %s", branch, ownPrefix)
	case branch == s.branch, branch == OutcomeBranch:
		return "", fmt.Errorf("branch %s is not for proposals", branch)
	}
	return name, nil
}

// Own says whether all commits of a proposal's branch at tip that are not in the followed branch are the author's own, as
// for Propose. Then nobody's work is lost with the branch.
func (s *Source) Own(ctx context.Context, tip Hash, author Author) (bool, error) {
	err := s.refetch(ctx)
	if err != nil {
		return false, err
	}
	base, err := s.Base(ctx)
	if err == nil {
		err = s.mine(ctx, tip, Proposal{Base: base, Author: author})
	}
	if errors.Is(err, ErrForeignBranch) {
		return false, nil
	}
	return err == nil, err
}

// mine refuses a branch with commits of others that the followed branch does not have.
func (s *Source) mine(ctx context.Context, tip Hash, p Proposal) error {
	kept := []Hash{p.Base}
	for _, tip := range []func(context.Context) (Hash, error){s.Tip, s.Base} {
		if h, err := tip(ctx); err == nil {
			kept = append(kept, h)
		}
	}
	seen := map[Hash]bool{}
	for queue := []Hash{tip}; len(queue) > 0; {
		h := queue[0]
		if queue = queue[1:]; seen[h] || slices.Contains(kept, h) {
			continue
		}
		seen[h] = true
		c, err := s.Commit(ctx, h)
		if err != nil {
			return err
		}
		if s.by(ctx, c, p.Author) {
			queue = append(queue, c.Parents...)
			continue
		}
		merged := false
		for _, k := range kept {
			is, err := s.IsAncestor(ctx, h, k)
			if err != nil {
				return err
			}
			merged = merged || is
		}
		if !merged {
			return fmt.Errorf("%w: %s by %s on %s; merge or delete that branch, and davit proposes anew",
				ErrForeignBranch, h.String()[:12], c.Committer.Name, p.Branch)
		}
	}
	return nil
}

// by says whether a commit is the author's, and nobody amended it.
func (s *Source) by(ctx context.Context, c Commit, a Author) bool {
	if email := ident(a.Email); c.Author.Email != email || c.Committer.Email != email {
		return false
	}
	if a.Key == nil {
		return true
	}
	_, err := s.Verify(ctx, c.Hash, a.Signers())
	return err == nil
}
