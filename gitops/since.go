package gitops

import (
	"container/heap"
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// Has says whether a commit is in the repository, whichever branch it is on.
func (s *Source) Has(h Hash) bool {
	t, err := s.store.typ(h)
	return err == nil && t == plumbing.CommitObject
}

// Outside lists which of some commits are not in tip's history, in their order; those that are not in the repository
// are not. It ends as soon as all are found: for commits near the tip it reads a few.
func (s *Source) Outside(ctx context.Context, tip Hash, commits ...Hash) (outside []Hash, err error) {
	left := map[Hash]bool{}
	for _, h := range commits {
		if h != tip && s.Has(h) {
			left[h] = true
		}
	}
	if len(left) > 0 {
		err = s.seek(ctx, tip, left)
	}
	for _, h := range commits {
		if h != tip && (left[h] || !s.Has(h)) {
			outside = append(outside, h)
		}
	}
	return outside, err
}

// VerifySince holds every commit of tip's history that is in none of since's against the signers, merged branches
// included: those that `git rev-list tip ^since…` lists. The first found that none of them signed is an *UnsignedError.
// Commits of since that are not in the repository exclude nothing. Wrong clocks cost time and not the answer.
func (s *Source) VerifySince(ctx context.Context, tip Hash, signers *Signers, since ...Hash) error {
	w := &sinceWalk{source: s, old: map[Hash]bool{}, queued: map[Hash]bool{}}
	for _, h := range since {
		if !h.IsZero() && s.Has(h) {
			if err := w.push(ctx, h, true); err != nil {
				return err
			}
		}
	}
	if err := w.push(ctx, tip, false); err != nil {
		return err
	}
	shallow, err := s.store.shallow()
	for err == nil && w.fresh > 0 {
		c := heap.Pop(&w.queue).(Commit)
		w.queued[c.Hash] = false
		if !w.old[c.Hash] {
			w.fresh--
			if err := s.verifyNew(ctx, c.Hash, signers, since); errors.Is(err, errOld) {
				w.old[c.Hash] = true
			} else if err != nil {
				return err
			}
		}
		if shallow[c.Hash] {
			continue
		}
		for _, p := range c.Parents {
			if err = w.push(ctx, p, w.old[c.Hash]); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("walking the history of %s: %w", tip, err)
	}
	return nil
}

var errOld = errors.New("it is in the history of what was followed")

// verifyNew is errOld for a commit without a signature that since's history has all the same: the walk goes by clocks.
func (s *Source) verifyNew(ctx context.Context, h Hash, signers *Signers, since []Hash) error {
	_, unsigned := s.Verify(ctx, h, signers)
	if !errors.As(unsigned, new(*UnsignedError)) {
		return unsigned
	}
	for _, base := range since {
		if base.IsZero() || !s.Has(base) {
			continue
		}
		if old, err := s.IsAncestor(ctx, h, base); err != nil {
			return err
		} else if old {
			return errOld
		}
	}
	return unsigned
}

// sinceWalk goes through history from new to old, and carries along what is old already.
type sinceWalk struct {
	source *Source
	queue  newest
	old    map[Hash]bool // all that were seen
	queued map[Hash]bool
	fresh  int // how many of the queue are not known to be old
}

func (w *sinceWalk) push(ctx context.Context, h Hash, old bool) error {
	was, seen := w.old[h]
	if seen && (was || !old) {
		return nil
	}
	w.old[h] = old
	switch {
	case w.queued[h]: // it turns out to be old
		w.fresh--
		return nil
	case !old:
		w.fresh++
	}
	c, err := w.source.Commit(ctx, h)
	if err == nil {
		w.queued[h] = true
		heap.Push(&w.queue, c)
	}
	return err
}
