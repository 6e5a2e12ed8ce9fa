package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/registry"
)

// LockBranch is where a training's lock is proposed that can't be committed to the followed branch.
func LockBranch(t *registry.Training) string { return lockBranches + t.Key() }

const lockBranches = gitops.OwnBranches + "lock/"

// commitLock commits a lock onto the followed branch, or proposes it where nobody but people may write there.
func (r *Reconciler) commitLock(ctx context.Context, want *desired, t *registry.Training, e *scheduled, lock *registry.Lock) error {
	name, text, err := t.WithLock(*lock)
	if err != nil {
		return err
	}
	base, err := r.base(ctx, want)
	if err != nil {
		return err
	}
	p := gitops.Proposal{
		Base: base.Hash(), Files: []gitops.FileChange{{Path: name, Content: text}}, Message: lockMessage(t, lock), Author: *r.cfg.Committer,
	}
	why := cmp.Or(r.untagged(), r.unsigned())
	if why == "" {
		_, err = r.cfg.Source.Advance(ctx, p, gitops.Hash{})
		if errors.Is(err, gitops.ErrReadOnly) {
			why = line(err.Error())
		} else if err != nil && !errors.Is(err, gitops.ErrNoChange) {
			return err
		}
	}
	if why != "" {
		p.Branch, p.When = LockBranch(t), lock.Tick
		return r.proposeLock(ctx, t, e, lock, p, why)
	}
	r.cfg.Log.Info("a training's datasets are locked", "training", t.Key(), "environment", t.Environment.Name, "time", lock.Tick.Format(time.RFC3339))
	r.cfg.Source.Notify()
	return r.withdrawLock(ctx, t, e)
}

// unsigned says which environment would not follow a commit of davit's.
func (r *Reconciler) unsigned() string {
	for _, name := range slices.Sorted(maps.Keys(r.cfg.Grants)) {
		grant := r.cfg.Grants[name]
		if grant.Signers != nil && !grant.Signers.Has(*r.cfg.Committer, time.Now()) {
			return fmt.Sprintf("environment %s follows what its signers signed, and davit's key is none of theirs", name)
		}
	}
	return ""
}

func lockMessage(t *registry.Training, lock *registry.Lock) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Lock the datasets of %s\n\n", t.Key())
	switch {
	case len(lock.Datasets) == 0:
		fmt.Fprintf(&b, "Its schedule has it trained again.\n")
	case t.Lock == nil:
		fmt.Fprintf(&b, "This is what they were at the schedule's time:\n")
	default:
		fmt.Fprintf(&b, "Its schedule has it trained again, on what they were at that time:\n")
	}
	for _, d := range lock.Datasets {
		fmt.Fprintf(&b, "- %s\n", line(strings.TrimSpace(d.Name+" "+d.URI+" "+d.SHA256)))
	}
	fmt.Fprintf(&b, "\nDavit-Training: %s\nDavit-Tick: %s\n", t.Key(), lock.Tick.UTC().Format(time.RFC3339))
	return b.String()
}

// proposeLock proposes a lock on the training's one branch, in place of what is proposed there.
func (r *Reconciler) proposeLock(ctx context.Context, t *registry.Training, e *scheduled, lock *registry.Lock, p gitops.Proposal, why string) error {
	e.alone = false
	same, err := r.isProposed(ctx, t, lock, p)
	if err != nil {
		return err
	}
	if !same {
		_, err = r.cfg.Source.Propose(ctx, p)
	}
	switch {
	case errors.Is(err, gitops.ErrForeignBranch):
		r.unscheduled(t, e, err.Error())
		return nil
	case errors.Is(err, gitops.ErrNoChange):
		return nil // it is merged
	case err != nil:
		return err
	}
	where := p.Branch
	if r.cfg.Forge != nil {
		title, body, _ := strings.Cut(p.Message, "\n\n")
		body, _, _ = strings.Cut(body, "\n\nDavit-")
		pr, err := r.cfg.Forge.Propose(ctx, forge.PullRequest{Branch: p.Branch, Base: r.cfg.Source.Branch(), Title: title, Body: plain(body) + "\n\nMerging this starts the run."})
		if err != nil {
			return fmt.Errorf("opening a pull request for %s: %w", p.Branch, err)
		}
		where = pr.URL
	}
	r.cfg.Log.Info("a training's lock is proposed", "training", t.Key(), "environment", t.Environment.Name, "time", lock.Tick.Format(time.RFC3339), "where", where, "why", why)
	return nil
}

// isProposed says whether the training's branch proposes the same lock already: for an earlier time, or by an earlier
// process.
func (r *Reconciler) isProposed(ctx context.Context, t *registry.Training, lock *registry.Lock, p gitops.Proposal) (bool, error) {
	branches, err := r.cfg.Source.Branches(ctx, p.Branch)
	tip := branches[p.Branch]
	if err != nil || tip.IsZero() {
		return false, err
	}
	own, err := r.cfg.Source.Own(ctx, tip, p.Author) // it fetches the branch
	if err != nil || !own {
		return false, err
	}
	at, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return false, err
	}
	text, err := at.ReadFile(p.Files[0].Path)
	if err != nil {
		return false, nil
	}
	proposed, faults := registry.ParseLock(p.Files[0].Path, text)
	return len(faults) == 0 && t.Spec.Schedule.Same(proposed, lock), nil
}

// withdrawLock takes back what is proposed of a lock, once the followed branch has a newer one, or the datasets are again
// what it says. A branch with a person's work is left to that person.
func (r *Reconciler) withdrawLock(ctx context.Context, t *registry.Training, e *scheduled) error {
	if e.alone {
		return nil
	}
	branch := LockBranch(t)
	branches, err := r.cfg.Source.Branches(ctx, branch)
	if err != nil {
		return err
	}
	if tip := branches[branch]; !tip.IsZero() {
		own, err := r.cfg.Source.Own(ctx, tip, *r.cfg.Committer)
		if err != nil {
			return err
		}
		if own {
			if err := r.closePullRequest(ctx, branch, "This does not apply any more: the branch has what the datasets are now."); err != nil {
				return err
			}
			if err := r.cfg.Source.DeleteBranch(ctx, branch, tip); err != nil && !errors.Is(err, gitops.ErrMoved) {
				return err
			}
		}
	}
	e.alone = true
	return nil
}
