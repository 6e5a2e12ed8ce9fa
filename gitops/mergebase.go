package gitops

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrShallow says that the answer lies where the clone was cut off.
var ErrShallow = errors.New("the clone is shallow and ends too early; fetch all of the history: fetch-depth: 0 where a workflow checks out, or git fetch --unshallow")

// MergeBase is the newest commit that is in the history of both, which counts a commit itself: what `git merge-base` prints.
// Where a shallow clone ends before it is sure, the error is [ErrShallow].
func (s *Source) MergeBase(ctx context.Context, a, b Hash) (Hash, error) {
	all, err := s.MergeBases(ctx, a, b)
	if err != nil {
		return Hash{}, err
	}
	return all[0], nil
}

// MergeBases are the newest common commits of which none is in another's history, as `git merge-base --all` prints them:
// several where the two histories crossed, and at least one without an error.
func (s *Source) MergeBases(ctx context.Context, a, b Hash) ([]Hash, error) {
	shallow, err := s.store.shallow()
	if err != nil {
		return nil, err
	}
	p := painting{source: s, paint: map[Hash]paint{}}
	for h, side := range map[Hash]paint{a: ofA, b: ofB} {
		if err := p.add(ctx, h, side); err != nil {
			return nil, err
		}
	}
	if a == b {
		return []Hash{a}, nil
	}
	var bases []Hash
	cut := false
	for p.left > 0 {
		c := heap.Pop(&p.queue).(Commit)
		mine := p.paint[c.Hash]
		if p.queued[c.Hash] = false; mine&stale == 0 {
			p.left--
		}
		if mine == ofA|ofB {
			bases = append(bases, c.Hash)
			mine |= stale // what comes before it is no better
		}
		if shallow[c.Hash] {
			cut = cut || mine&stale == 0
			continue
		}
		for _, parent := range c.Parents {
			if err := p.add(ctx, parent, mine); err != nil {
				return nil, err
			}
		}
	}
	if cut {
		return nil, ErrShallow
	}
	bases = slices.DeleteFunc(bases, func(h Hash) bool { return p.paint[h]&stale != 0 })
	if len(bases) > 0 {
		return bases, nil
	}
	return nil, fmt.Errorf("%.12s and %.12s have no commit in common", a.String(), b.String())
}

// paint says whose history a commit is in.
type paint int

const (
	ofA paint = 1 << iota
	ofB
	stale // before a common one
)

// painting walks two histories, newest first, until all that is left is before a common commit.
type painting struct {
	source *Source
	paint  map[Hash]paint
	queued map[Hash]bool
	queue  newest
	left   int // in the queue and not stale
}

func (p *painting) add(ctx context.Context, h Hash, with paint) error {
	old := p.paint[h]
	if old|with == old {
		return nil
	}
	p.paint[h] = old | with
	if p.queued[h] {
		if old&stale == 0 && with&stale != 0 {
			p.left--
		}
		return nil
	}
	c, err := p.source.Commit(ctx, h)
	if err != nil {
		return err
	}
	if p.queued == nil {
		p.queued = map[Hash]bool{}
	}
	p.queued[h] = true
	if (old|with)&stale == 0 {
		p.left++
	}
	heap.Push(&p.queue, c)
	return nil
}

// IsShallow says whether the clone's history was cut off anywhere.
func (s *Source) IsShallow() (bool, error) {
	cut, err := s.store.shallow()
	return len(cut) > 0, err
}
