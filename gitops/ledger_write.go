package gitops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrRunState says that a run's record is not in a state that may be replaced so.
var ErrRunState = errors.New("the run's state is another")

const (
	// maxLedgerRaces is how often a lost race is run again: each write of one Ledger may lose to all of the others.
	maxLedgerRaces = 30
	// maxUnanswered is how often a push without an answer is looked after and sent again at once.
	maxUnanswered = 3
)

// ClaimRun writes a run in state Claimed, now if its Claimed is zero, if its hash is not in the ledger. It returns the
// record, and true only if it wrote that; else the one that is there, and false. Others may claim at once: one of them
// gets true, whatever the order.
//
// An error, ErrReadOnly aside, tells nothing about whether the claim is there: the connection may have ended after the
// server took it. Claim again, with this Ledger: it knows its own record by its nonce, and returns true then, once. A
// process that ended in between finds the record by its Cluster and Controller, in state Claimed.
func (l *Ledger) ClaimRun(ctx context.Context, run Run) (Run, bool, error) {
	claim, err := run.Claim()
	if err != nil {
		return Run{}, false, fmt.Errorf("claiming run %s: %w", run.Name, err)
	}
	run = claim
	l.mu.Lock()
	defer l.mu.Unlock()
	if sent, ok := l.claims[run.Hash]; ok {
		run.Nonce = sent.Nonce
	}
	l.claims[run.Hash] = run
	got, err := l.change(ctx, run.Hash, func(now Run, there bool) (Run, error) {
		if there {
			return now, nil
		}
		return run, nil
	})
	if err != nil {
		return Run{}, false, fmt.Errorf("claiming run %s: %w", run.Name, err)
	}
	delete(l.claims, run.Hash)
	// What went on from it, somebody else has in hand.
	return got, got.Nonce == run.Nonce && got.State == RunClaimed, nil
}

// RecordRun replaces a run's record if its state is among from, any when there are none, and returns what is in the ledger
// then. States only go forward. Of an ended run the state, its result and its times stay: a Version is filled in where
// there was none, and the Message may be another. What is not to be, or no longer, is ErrRunState, with the record that is
// there. A record that is so already is left alone. Claimed, Nonce, Name, Training and Trial stay as they were claimed, and so do
// Cluster, Controller, Environment, Commit and Started where run has none. After any other error, record it again.
func (l *Ledger) RecordRun(ctx context.Context, run Run, from ...RunState) (Run, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	got, err := l.change(ctx, run.Hash, func(now Run, there bool) (Run, error) {
		if !there {
			return Run{}, fmt.Errorf("%w: nobody claimed it", ErrRunState)
		}
		return run.Follows(now, from...)
	})
	if err != nil {
		return got, fmt.Errorf("recording run %s as %s: %w", cmp.Or(run.Name, run.Hash), run.State, err)
	}
	return got, nil
}

// claimedAs is the run with what stays of its record.
func (r Run) claimedAs(now Run) Run {
	r.Name, r.Training, r.Trial, r.Claimed, r.Nonce = now.Name, now.Training, now.Trial, now.Claimed, now.Nonce
	r.Environment, r.Commit = cmp.Or(r.Environment, now.Environment), cmp.Or(r.Commit, now.Commit)
	r.Cluster, r.Controller = cmp.Or(r.Cluster, now.Cluster), cmp.Or(r.Controller, now.Controller)
	if r.Started.IsZero() {
		r.Started = now.Started
	}
	return r
}

// allows says what is wrong about a record that would follow this one.
func (r Run) allows(next Run) error {
	is, _ := r.State.order()
	will, ok := next.State.order()
	if !ok {
		return fmt.Errorf("%w: %q is none", ErrRunState, next.State)
	}
	if will < is || will == is && next.State != r.State {
		return fmt.Errorf("%w: it is %s, which nothing makes %s", ErrRunState, r.State, next.State)
	}
	if !r.State.Ended() {
		return nil
	}
	ended := next
	ended.Message = r.Message
	if r.Version == "" {
		ended.Version = ""
	}
	if !reflect.DeepEqual(r, ended) {
		return fmt.Errorf("%w: it ended as %s, and only its version and its message may be added", ErrRunState, r.State)
	}
	return nil
}

// change writes what decide makes of a run's record, on top of what is in the ledger by then: it decides again after a
// lost race, and after a push whose answer did not come. It needs l.mu.
func (l *Ledger) change(ctx context.Context, hash string, decide func(now Run, there bool) (Run, error)) (Run, error) {
	var lost error // of the last push
	for race, unanswered := 0, 0; ; race++ {
		if err := l.pause(ctx, race); err != nil {
			return Run{}, errors.Join(lost, err)
		}
		if err := l.refresh(ctx); err != nil {
			return Run{}, errors.Join(lost, err)
		}
		now, there := l.runs[hash]
		next, err := decide(now, there)
		if err != nil {
			return now, err
		}
		if there && reflect.DeepEqual(now, next) {
			return now, nil
		}
		if lost = l.write(ctx, next); lost == nil {
			return next, nil
		}
		switch {
		case errors.Is(lost, ErrMoved) && race < maxLedgerRaces:
		case errors.Is(lost, ErrMoved), errors.Is(lost, ErrReadOnly), errors.Is(lost, errRefused), unanswered == maxUnanswered:
			return now, lost
		default:
			unanswered++
		}
	}
}

// pause keeps writers that lost a race from losing the next one to each other.
func (l *Ledger) pause(ctx context.Context, race int) error {
	if race == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(mathrand.Int64N(int64(20*time.Millisecond) << min(race, 5)))):
		return nil
	}
}

// write publishes a commit with one record replaced, and stands on that then.
func (l *Ledger) write(ctx context.Context, run Run) error {
	b := l.source.newBatch()
	data, err := run.Encode()
	if err != nil {
		return err
	}
	blob, err := b.add(plumbing.BlobObject, data)
	if err != nil {
		return err
	}
	path := run.Hash[:2] + "/" + run.Hash + ".json"
	tree, err := b.edit(ctx, l.tree, map[string]leaf{path: {modeFile, blob}})
	if err != nil {
		return err
	}
	var parents []Hash
	if !l.tip.IsZero() {
		parents = []Hash{l.tip}
	}
	commit, err := b.commit(l.author, tree, parents, time.Now(), run.message(l.runs[run.Hash].State))
	if err != nil {
		return err
	}
	if err := l.source.publish(ctx, b, refUpdate{l.ref, l.tip, commit}); err != nil {
		return err
	}
	runs := maps.Clone(l.runs)
	runs[run.Hash] = run
	l.tip, l.tree, l.runs = commit, tree, runs
	l.note()
	return nil
}

// message is for git log.
func (r Run) message(before RunState) string {
	verb := strings.ToLower(string(r.State))
	switch before {
	case "":
		verb = "claim"
	case r.State:
		verb = "update"
	}
	var b strings.Builder
	line := func(name, value string) {
		if value = strings.Join(strings.Fields(value), " "); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "davit: %s %s\n\n", verb, r.Name)
	line("Davit-Run", r.Hash)
	line("Davit-Training", r.Training)
	line("Davit-Environment", r.Environment)
	line("Davit-Commit", r.Commit)
	line("Davit-State", string(r.State))
	line("Davit-Reason", r.Reason)
	line("Davit-Image", r.Image)
	line("Davit-Version", r.Version)
	line("Davit-Controller", r.Controller)
	return b.String()
}
