package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// RevertBranch is where the revert of a failed release is proposed.
func RevertBranch(key registry.Key) string { return revertBranches + key.String() }

const revertBranches = gitops.OwnBranches + "revert/"

// undoBranch is where it is proposed to take a whole commit back for an environment. No release's name has a '_'.
func undoBranch(environment string, commit gitops.Hash) string {
	return revertBranches + environment + "/_" + commit.String()[:12]
}

// propose brings the proposal for a release in line with how it is: a held revision that its own files asked for has a
// branch with the revert, and any other release has none. What was proposed once is not proposed again: a person may have
// closed it.
func (r *Reconciler) propose(ctx context.Context, e errand) error {
	key, branch := e.key, RevertBranch(e.key)
	if key.Name == "" {
		return r.proposeUndo(ctx, e)
	}
	held, healthy := r.heldOf(key)
	made, _ := r.errands.offer(branch)
	switch {
	case held == nil:
		return r.withdrawProposal(ctx, branch)
	case held.Proposal != "" || healthy.Commit == "" || !r.proposes(key.Environment):
		return nil
	case made.held == held.Commit && made.where != "":
		return r.showProposal(ctx, key, held.Commit, made.where)
	}
	want := r.wanted(key.Environment)
	base, err := r.base(ctx, want)
	if err != nil {
		return err
	}
	own, err := r.touchedOwn(ctx, key, gitops.ParseHash(held.Commit))
	if err != nil {
		return err
	}
	if on, err := r.wentOn(ctx, want, base, key); err != nil || on { // what comes next is on the branch already
		return errors.Join(err, r.withdrawProposal(ctx, branch))
	}
	revert, err := r.revertOf(ctx, base, key, held, healthy)
	switch {
	case err != nil:
		return err
	case len(revert.Files) == 0:
		if !own { // others fail with it
			r.errands.add(errand{proposal, registry.Key{Environment: key.Environment}, gitops.ParseHash(held.Commit)}, company)
		}
		return r.withdrawProposal(ctx, branch)
	}
	text := revertMessage(key, held, healthy.Version, revert)
	where, err := r.publish(ctx, branch, offer{held: held.Commit}, gitops.Proposal{Base: base.Hash(), Files: revert.Files, Message: text, When: held.Time.UTC()})
	if err != nil {
		return err
	}
	return r.showProposal(ctx, key, held.Commit, where)
}

// proposes says whether an environment wants proposals.
func (r *Reconciler) proposes(environment string) bool {
	env := r.wanted(environment).models.Environments[environment]
	return env != nil && env.Spec.Rollback.Git != "none"
}

// heldOf is what a release holds, and its last healthy revision.
func (r *Reconciler) heldOf(key registry.Key) (held *v1alpha1.HeldRevision, healthy v1alpha1.Revision) {
	r.mu.Lock()
	s := r.states[key]
	r.mu.Unlock()
	if s == nil {
		return nil, healthy // it is gone
	}
	st := s.shown.Load()
	if st == nil || st.held == nil {
		return nil, healthy
	}
	held = st.held.DeepCopy()
	held.Reason, _, _ = strings.Cut(held.Reason, ":") // what comes last may be what the container wrote
	for _, o := range st.outcomes {
		if o.Outcome == v1alpha1.Failed && o.Commit == held.Commit {
			held.Reason = line(o.Reason + ": " + o.Message) // on one: a message's last lines are its trailers
			break
		}
	}
	return held, st.healthy
}

func revertMessage(key registry.Key, held *v1alpha1.HeldRevision, serves string, revert Revert) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Revert %s to %s\n\n", key, serves)
	fmt.Fprintf(&b, "%s failed in %s and is held:\n%s\n\n", held.Version, key.Environment, held.Reason)
	if revert.version {
		fmt.Fprintf(&b, "This sets the version back that was healthy, and changes nothing else.\n")
	} else {
		fmt.Fprintf(&b, "This takes back what the release's own files have become since it was healthy, and nothing else.\n")
	}
	if len(revert.Also) > 0 {
		var names []string
		for _, k := range revert.Also {
			names = append(names, k.String())
		}
		fmt.Fprintf(&b, "One of the files is also that of %s.\n", strings.Join(some(names), ", "))
	}
	fmt.Fprintf(&b, "\nDavit-Release: %s\nDavit-Reverts: %s\nDavit-Restores: %s\n", key, held.Commit, revert.good)
	return b.String()
}

// some are the first of many names, and how many more there are.
func some(names []string) []string {
	if more := len(names) - maxTold; more > 0 {
		return append(names[:maxTold:maxTold], fmt.Sprintf("and %d more", more))
	}
	return names
}

// proposeUndo proposes to take a whole commit back: a shared change that failed in an environment. One proposal serves all
// its releases there.
func (r *Reconciler) proposeUndo(ctx context.Context, e errand) error {
	branch := undoBranch(e.key.Environment, e.commit)
	failed, why, where, err := r.failedBy(ctx, e)
	switch {
	case err != nil:
		return err
	case len(failed) == 0:
		return r.withdrawProposal(ctx, branch)
	case !r.proposes(e.key.Environment):
		return nil
	}
	if made, _ := r.errands.offer(branch); where == "" {
		where = made.where
	}
	if where == "" {
		if where, err = r.publishUndo(ctx, e, failed, why); err != nil {
			return err
		}
	}
	for _, key := range failed {
		err = errors.Join(err, r.showProposal(ctx, key, e.commit.String(), where))
	}
	return err
}

func (r *Reconciler) publishUndo(ctx context.Context, e errand, failed []registry.Key, why []string) (where string, err error) {
	base, err := r.base(ctx, r.wanted(e.key.Environment))
	if err != nil {
		return "", err
	}
	files, conflicts, err := r.undo(ctx, base, e, failed)
	switch {
	case err != nil:
		return "", err
	case len(conflicts) > 0:
		r.cfg.Log.Warn("no revert is proposed: later commits changed the same files", "commit", e.commit.String(), "files", conflicts)
		return "", nil
	case len(files) == 0:
		return "", nil // it is taken back already
	}
	c, err := r.cfg.Source.Commit(ctx, e.commit)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Revert %q\n\nIt changed files that several releases share, and failed:\n", c.Subject)
	for _, line := range some(why) {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	fmt.Fprintf(&b, "\nThis takes back what of it these releases stand on.\n\nDavit-Reverts: %s\n", e.commit)
	return r.publish(ctx, undoBranch(e.key.Environment, e.commit), offer{held: e.commit.String(), undo: e},
		gitops.Proposal{Base: base.Hash(), Files: files, Message: b.String(), When: c.Committer.When.UTC()})
}

// failedBy lists the releases of an environment that hold a commit which changed none of their own files, and why; and
// where it was proposed to take it back.
func (r *Reconciler) failedBy(ctx context.Context, e errand) (keys []registry.Key, why []string, where string, err error) {
	all := r.all()
	slices.SortFunc(all, func(a, b *state) int { return byName(a.key, b.key) })
	for _, s := range all {
		held, _ := r.heldOf(s.key)
		if s.key.Environment != e.key.Environment || held == nil || held.Commit != e.commit.String() {
			continue
		}
		switch own, err := r.touchedOwn(ctx, s.key, e.commit); {
		case err != nil:
			return nil, nil, "", err
		case own:
			continue
		}
		if made, _ := r.errands.offer(RevertBranch(s.key)); held.Proposal != RevertBranch(s.key) && held.Proposal != made.where {
			where = cmp.Or(where, held.Proposal)
		}
		keys, why = append(keys, s.key), append(why, s.key.String()+": "+held.Reason)
	}
	return keys, why, where, nil
}

// publish pushes a proposal and opens its pull request. It returns where people find it; "" where there is none.
func (r *Reconciler) publish(ctx context.Context, branch string, o offer, p gitops.Proposal) (where string, err error) {
	p.Branch, p.Author = branch, *r.cfg.Committer
	_, err = r.cfg.Source.Propose(ctx, p)
	had, open := r.errands.offer(branch)
	switch {
	case errors.Is(err, gitops.ErrNoChange):
		return "", nil
	case errors.Is(err, gitops.ErrForeignBranch) && (!open || had.foreign):
		r.cfg.Log.Warn("no revert is proposed", "branch", branch, "why", err)
		return "", nil
	case errors.Is(err, gitops.ErrForeignBranch): // somebody works on the proposal: it is theirs now
	case err != nil:
		return "", err
	}
	o.where = branch
	if r.cfg.Forge != nil {
		r.errands.offered(branch, offer{undo: o.undo})
		title, body, _ := strings.Cut(p.Message, "\n\n")
		pr, err := r.cfg.Forge.Propose(ctx, forge.PullRequest{Branch: branch, Base: r.cfg.Source.Branch(), Title: title, Body: body})
		if err != nil {
			return "", fmt.Errorf("opening a pull request for %s: %w", branch, err)
		}
		r.cfg.Log.Info("a revert is proposed", "branch", branch, "pullRequest", pr.URL)
		o.where = pr.URL
	}
	r.errands.offered(branch, o)
	return o.where, nil
}

// withdrawProposal deletes a branch that nothing is held for any more, merged or not. One with a person's work that is not
// merged is left to that person.
func (r *Reconciler) withdrawProposal(ctx context.Context, branch string) error {
	if !r.errands.has(branch) {
		return nil
	}
	branches, err := r.cfg.Source.Branches(ctx, branch)
	if err != nil {
		return err
	}
	if tip, there := branches[branch]; there {
		own, err := r.cfg.Source.Own(ctx, tip, *r.cfg.Committer)
		if err != nil {
			return err
		}
		if own {
			if err := r.closePullRequest(ctx, branch, "Nothing is held any more: the release's files have changed since."); err != nil {
				return err
			}
			if err := r.cfg.Source.DeleteBranch(ctx, branch, tip); err != nil {
				return err
			}
		}
	}
	r.errands.withdrawn(branch)
	return nil
}

// closePullRequest closes what is open of a branch, and says why.
func (r *Reconciler) closePullRequest(ctx context.Context, branch, why string) error {
	if r.cfg.Forge == nil {
		return nil
	}
	open, err := r.cfg.Forge.Open(ctx, branch)
	if err != nil {
		return err
	}
	for _, pr := range open {
		if pr.Branch != branch { // it only begins so
			continue
		}
		if err := r.cfg.Forge.Close(ctx, pr.Number, why); err != nil {
			return err
		}
	}
	return nil
}

// showProposal writes into the release's status where the revert is.
func (r *Reconciler) showProposal(ctx context.Context, key registry.Key, commit, where string) error {
	s := r.state(key)
	if where == "" {
		return nil
	}
	if !s.work.TryLock() {
		return errBusy
	}
	defer s.work.Unlock()
	if s.release == nil || s.release.Status.Held == nil || s.release.Status.Held.Commit != commit || s.release.Status.Held.Proposal == where {
		return nil
	}
	s.release.Status.Held.Proposal = where
	if err := r.write(ctx, s); err != nil {
		return err
	}
	r.proposed(ctx, s, proposedChange{s.release.Status.Healthy.Version, "to take " + s.release.Status.Held.Version + " back", where})
	r.begun(key.Environment, gitops.ParseHash(commit)) // the next step is another one now
	return nil
}
