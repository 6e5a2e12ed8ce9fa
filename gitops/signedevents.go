package gitops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Outcomes reads what is new of the outcomes in Git, call after call. Whoever may push to a repository may add outcomes, and
// say in them what never was: with Signers, those count that were added by a commit that one of them signed. It is not to be
// used concurrently.
type Outcomes struct {
	Source  *Source
	Signers *Signers // nil takes everybody's

	tips []Hash
	read map[Hash]bool // the commits of outcomes that were looked at, with Signers
}

// Next tells of the outcomes that came since the call before, in no order; some may come again. It costs what is new: with
// Signers, each commit of outcomes once. After an error the next call tells of the same again. No outcomes at all are no
// error, and some is false then.
func (o *Outcomes) Next(ctx context.Context, tell func(Noted)) (some bool, err error) {
	tips, err := o.Source.outcomeTips()
	if err != nil {
		return false, fmt.Errorf("reading outcomes: %w", err)
	}
	if slices.Equal(tips, o.tips) {
		return len(tips) > 0, nil
	}
	if o.Signers != nil {
		err = o.signed(ctx, tips, tell)
	} else {
		err = o.changed(ctx, tips, tell)
	}
	if err != nil {
		return false, fmt.Errorf("reading outcomes: %w", err)
	}
	o.tips = tips
	return len(tips) > 0, nil
}

// changed tells all of the notes that are others than they were.
func (o *Outcomes) changed(ctx context.Context, tips []Hash, tell func(Noted)) error {
	var before Hash
	if len(o.tips) > 0 {
		var err error
		if _, before, err = o.Source.commit(ctx, o.tips[0]); err != nil {
			return err
		}
	}
	want := map[Hash]bool{}
	for _, tip := range tips {
		if err := o.notesOf(ctx, before, tip, want); err != nil {
			return err
		}
	}
	if len(want) == 0 {
		return nil
	}
	return o.Source.eachLine(ctx, tips, want, told(tell))
}

// notesOf adds the commits whose notes differ between a tree and a commit of outcomes.
func (o *Outcomes) notesOf(ctx context.Context, before, tip Hash, to map[Hash]bool) error {
	_, tree, err := o.Source.commit(ctx, tip)
	if err != nil {
		return err
	}
	paths, err := o.Source.trees.changed(ctx, before, tree)
	for _, p := range paths {
		if hex := strings.ReplaceAll(p, "/", ""); len(hex) == 40 && plumbing.IsHash(hex) {
			to[plumbing.NewHash(hex)] = true
		}
	}
	return err
}

// signed walks the commits of outcomes that were not looked at, and tells the lines that signed ones added.
func (o *Outcomes) signed(ctx context.Context, tips []Hash, tell func(Noted)) error {
	seen := map[Hash]bool{}
	for left := slices.Clone(tips); len(left) > 0; {
		h := left[len(left)-1]
		left = left[:len(left)-1]
		if o.read[h] || seen[h] {
			continue
		}
		seen[h] = true
		c, err := o.Source.Commit(ctx, h)
		if err != nil {
			return err
		}
		left = append(left, c.Parents...)
		_, err = o.Source.Verify(ctx, h, o.Signers)
		if _, unsigned := errors.AsType[*UnsignedError](err); unsigned {
			continue
		}
		if err == nil {
			err = o.added(ctx, c, tell)
		}
		if err != nil {
			return err
		}
	}
	if o.read == nil {
		o.read = seen
	}
	for h := range seen {
		o.read[h] = true
	}
	return nil
}

// added tells the lines that none of a commit's parents has: a signed one on top of what others wrote does not make that
// its own, nor does one that cuts the notes' tree into other folders.
func (o *Outcomes) added(ctx context.Context, c Commit, tell func(Noted)) error {
	var before Hash
	if len(c.Parents) > 0 {
		var err error
		if _, before, err = o.Source.commit(ctx, c.Parents[0]); err != nil {
			return err
		}
	}
	want := map[Hash]bool{}
	if err := o.notesOf(ctx, before, c.Hash, want); err != nil || len(want) == 0 {
		return err
	}
	known := map[string]bool{}
	err := o.Source.eachLine(ctx, c.Parents, want, func(commit Hash, line []byte) { known[commit.String()+string(line)] = true })
	if err != nil {
		return err
	}
	tells := told(tell)
	return o.Source.eachLine(ctx, []Hash{c.Hash}, want, func(commit Hash, line []byte) {
		if !known[commit.String()+string(bytes.TrimSpace(line))] {
			tells(commit, line)
		}
	})
}

// told passes lines on that are events.
func told(tell func(Noted)) func(commit Hash, line []byte) {
	return func(commit Hash, line []byte) {
		var e Event
		if json.Unmarshal(line, &e) == nil && e.Release != "" {
			tell(Noted{commit, e})
		}
	}
}
