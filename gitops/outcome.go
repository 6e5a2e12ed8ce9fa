package gitops

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxRaces is how often a lost race is run again at once.
const maxRaces = 10

// targets are the refs that have the outcomes.
var targets = []plumbing.ReferenceName{NotesRef, "refs/heads/" + OutcomeBranch}

// write puts notes into the repository: on top of what is there, again where somebody was faster.
func (n *Notes) write(ctx context.Context, notes []note) (size int, err error) {
	for race := range maxRaces {
		if race > 0 {
			select {
			case <-ctx.Done():
				return 0, errors.Join(ctx.Err(), err)
			case <-time.After(time.Duration(rand.Int64N(int64(20*time.Millisecond) << min(race, 5)))):
			}
			if err := n.source.refetch(ctx); err != nil {
				return 0, fmt.Errorf("writing outcomes: %w", err)
			}
		}
		b := n.source.newBatch()
		if err = n.once(ctx, b, notes, race == maxRaces-1); err == nil {
			return b.size, nil
		}
		if !errors.Is(err, ErrMoved) {
			break
		}
	}
	return 0, fmt.Errorf("writing outcomes: %w", err)
}

func (n *Notes) once(ctx context.Context, b *batch, notes []note, last bool) error {
	s := n.source
	refs, err := s.store.refs(outcomes)
	if err != nil {
		return err
	}
	tips, err := s.newestOf(ctx, slices.Collect(maps.Values(refs)))
	if err != nil {
		return err
	}
	tree, added, err := s.union(ctx, b, tips, notes)
	if err != nil {
		return err
	}
	var commit Hash
	switch {
	case len(added) > 0 || len(tips) > 1:
		if commit, err = b.commit(n.author, tree, tips, time.Now(), outcomeMessage(added)); err != nil {
			return err
		}
	case len(tips) == 1:
		commit = tips[0]
	default:
		return nil
	}
	var updates []refUpdate
	for _, name := range targets {
		if old := refs[name.String()]; old != commit && time.Since(n.barred[name]) > afterNo {
			updates = append(updates, refUpdate{name, old, commit})
		}
	}
	if len(updates) == 0 && len(added) == 0 {
		return nil
	}
	return n.publish(ctx, b, updates, last)
}

// publish moves both refs at once. A repository that refuses one of them (many take no refs/notes, or protect the branch)
// gets the other alone.
func (n *Notes) publish(ctx context.Context, b *batch, updates []refUpdate, last bool) error {
	err := n.source.publish(ctx, b, updates...)
	answered := errors.Is(err, ErrReadOnly) || errors.Is(err, errRefused) || last && errors.Is(err, ErrMoved)
	if len(updates) < 2 || err != nil && !answered {
		return err
	}
	var refusals []string
	if err != nil {
		if refusals = n.apart(ctx, b, updates); len(refusals) == len(updates) {
			clear(n.barred)
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.partial
	if n.partial = strings.Join(refusals, "; "); n.partial != "" && n.partial != was {
		n.log.Warn("one of the two refs for outcomes is refused, the other is written", "err", n.partial)
	}
	return nil
}

// apart moves each ref by itself, and says which are refused. Those are tried once more where another is taken: a server that
// refused everything for a while may have come back in between, and what is refused alone is left alone for long.
func (n *Notes) apart(ctx context.Context, b *batch, updates []refUpdate) (refusals []string) {
	left := updates
	for range 2 {
		var refused []refUpdate
		refusals = nil
		for _, u := range left {
			if err := n.source.publish(ctx, b, u); err != nil {
				refused = append(refused, u)
				refusals = append(refusals, fmt.Sprintf("outcomes are not on %s: %v", u.name, err))
			}
		}
		if left = refused; len(left) == len(updates) {
			return refusals
		}
	}
	for _, u := range left {
		n.barred[u.name] = time.Now()
	}
	return refusals
}

// newestOf drops commits that are in the history of another.
func (s *Source) newestOf(ctx context.Context, tips []Hash) (newest []Hash, err error) {
	var commits []Commit
	for _, h := range tips {
		c, err := s.Commit(ctx, h)
		if err != nil {
			return nil, err
		}
		commits = append(commits, c)
	}
	// The later one mostly has the earlier one in its history, and what is asked the wrong way round walks all of it.
	slices.SortFunc(commits, func(a, b Commit) int {
		return cmp.Or(b.Committer.When.Compare(a.Committer.When), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	for _, c := range commits {
		known := false
		for _, n := range newest {
			if is, err := s.IsAncestor(ctx, c.Hash, n); err != nil {
				return nil, err
			} else if is {
				known = true
			}
		}
		if known {
			continue
		}
		// Clocks may be wrong.
		kept := newest[:0]
		for _, n := range newest {
			is, err := s.IsAncestor(ctx, n, c.Hash)
			if err != nil {
				return nil, err
			}
			if !is {
				kept = append(kept, n)
			}
		}
		newest = append(kept, c.Hash)
	}
	return newest, nil
}

// union makes the tree with all lines of all tips' notes and the new ones, each line once, and lists the new ones that
// were in none. Lines keep their order; what is not davit's stays as it is.
func (s *Source) union(ctx context.Context, b *batch, tips []Hash, notes []note) (tree Hash, added []note, err error) {
	fan := &fanout{source: s, batch: b, notes: map[Hash]*noteText{}}
	for i, tip := range tips {
		_, t, err := s.commit(ctx, tip)
		if err != nil {
			return Hash{}, nil, err
		}
		if i == 0 {
			fan.tree = t
			continue
		}
		if err := fan.merge(ctx, t); err != nil {
			return Hash{}, nil, err
		}
	}
	lines := map[Hash][]string{}
	for _, n := range notes {
		lines[n.commit] = append(lines[n.commit], n.line)
	}
	for _, n := range notes {
		if lines[n.commit] == nil {
			continue // with the first of its commit
		}
		text, err := fan.note(n.commit)
		if err != nil {
			return Hash{}, nil, err
		}
		for _, line := range text.add(lines[n.commit]) {
			added = append(added, note{commit: n.commit, line: line})
		}
		delete(lines, n.commit)
	}
	tree, err = fan.write(ctx)
	return tree, added, err
}

// outcomeMessage is for `git log davit/outcome`.
func outcomeMessage(added []note) string {
	if len(added) == 0 {
		return "Merge the outcomes of two writers"
	}
	var what []string
	for _, n := range added[:min(3, len(added))] {
		var e Event
		if json.Unmarshal([]byte(n.line), &e) == nil {
			what = append(what, strings.Join(strings.Fields(e.Release+" "+e.Version+" "+e.Outcome), " "))
		}
	}
	if len(added) > 3 {
		what = append(what, "…")
	}
	s := "s"
	if len(added) == 1 {
		s = ""
	}
	return fmt.Sprintf("%d outcome%s: %s", len(added), s, strings.Join(what, ", "))
}
