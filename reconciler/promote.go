package reconciler

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// PromotionBranch is where the next version of a release is proposed.
func PromotionBranch(key registry.Key) string { return promotionBranches + key.String() }

const promotionBranches = gitops.OwnBranches + "promote/"

// promoting is what is known of a release's open promotion.
type promoting struct {
	version string      // that the branch has
	tip     gitops.Hash // of the branch; zero when there is none
	base    gitops.Hash // of davit's commit
	where   string
	number  int  // of the pull request; 0 when there is none
	foreign bool // it has a person's commits
	// elsewhere says that the pull request goes to another branch.
	elsewhere string
	merged    bool // the pull request is

	// Of this process alone:
	told    string // the newer version that people were told of
	said    string // why it is not merged, as logged last
	refused int    // how often in a row the forge did not merge it
}

// lookAtPromotion is how often an open promotion is looked at: no push tells that a person closed its pull request, or
// that a forge lets it be merged now. With many of them each is looked at less often: GitHub answers 5,000 requests an hour,
// and Git's other errands wait for their turn.
const (
	lookAtPromotion     = time.Minute
	lookAtPromotionEach = 2 * time.Second
)

// promote brings the promotion of a release in line with its rule: one branch, and one pull request where there is a
// forge, with the newest eligible version; and none where nothing is eligible.
func (r *Reconciler) promote(ctx context.Context, e errand) error {
	want, key := r.desired.Load(), e.key
	if _, late := want.behind[key.Environment]; late || r.cfg.Committer == nil {
		return nil // what it does not follow it can't be promoted on
	}
	open, err := r.openPromotion(ctx, key)
	if err != nil {
		return err
	}
	release := want.models.Release(key)
	switch _, broken := want.models.Broken[key]; {
	case release == nil && broken:
		return nil
	case release == nil || release.Promote == nil:
		return r.withdrawPromotion(ctx, key, open, "there is no rule for it any more")
	}
	if version, err := r.versionOnBranch(ctx, want, key); err != nil || version != "" {
		return errors.Join(err, r.withdrawPromotion(ctx, key, open, fmt.Sprintf("branch %s has version %s of it; tag that to have it followed", r.cfg.Source.Branch(), version)))
	}
	c, err := r.candidate(ctx, want, release, open.version)
	if err != nil {
		return err
	}
	if c.again > 0 {
		r.errands.later(e, c.again)
	}
	switch st := r.seenHere(key); {
	case !c.eligible && (c.never != "" || open.version == ""):
		return r.withdrawPromotion(ctx, key, open, c.never)
	case open.merged:
		return nil // the commit is on its way here
	case !c.eligible:
		c.version = open.version // it stays until the next one is
		if why, err := r.unpromotable(ctx, want, release, c.version); err != nil || why != "" {
			return errors.Join(err, r.withdrawPromotion(ctx, key, open, why))
		}
	case slices.Contains(st.declined(), c.version):
		return r.withdrawPromotion(ctx, key, open, "")
	}
	if open.foreign && open.version != c.version {
		return r.tellNewer(ctx, key, open, c.version)
	}
	if !open.foreign {
		if err := r.proposePromotion(ctx, want, release, open, c); err != nil || open.where == "" {
			return err
		}
	}
	if r.cfg.Forge != nil || release.Promote.Merge == "auto" {
		r.errands.later(e, r.errands.lookAgain())
	}
	waits, err := r.mergeByRule(ctx, e, want, release, open, c)
	if errors.Is(err, errBusy) {
		return err // and what is told of it stays
	}
	return errors.Join(err, r.showPromotion(ctx, key, &v1alpha1.Promotion{
		Version: open.version, Where: open.where, Waits: waits, DeclinedBefore: r.seenHere(key).declined(),
	}))
}

// proposePromotion makes the branch, or makes it anew: for another version, or where the tip has another text of the one
// file it changes. open is what there is then; without a where nothing is.
func (r *Reconciler) proposePromotion(ctx context.Context, want *desired, release *registry.Release, open *promoting, c candidate) error {
	key, branch := release.Key(), PromotionBranch(release.Key())
	r.errands.promoted(key, open)
	base, err := r.base(ctx, want)
	if err != nil {
		return err
	}
	name, text, err := registry.WithVersion(base, key, c.version)
	if err != nil {
		return fmt.Errorf("promoting %s: %w", key, err)
	}
	if open.version == c.version && open.where != "" && (r.cfg.Forge == nil || open.number > 0) && r.unchangedSince(ctx, open.base, base, name) {
		return nil
	}
	when := c.since
	if when.IsZero() {
		when = base.Commit().Committer.When
	}
	p := gitops.Proposal{
		Branch: branch, Base: base.Hash(), Files: []gitops.FileChange{{Path: name, Content: text}},
		Message: promotionMessage(release, c), Author: *r.cfg.Committer, When: when.UTC(),
	}
	open.tip, err = r.cfg.Source.Propose(ctx, p)
	switch {
	case errors.Is(err, gitops.ErrForeignBranch):
		if open.where = ""; open.said != err.Error() {
			open.said = err.Error()
			r.cfg.Log.Warn("no promotion is proposed", "release", key.String(), "branch", branch, "why", err)
		}
		return nil
	case err != nil:
		return err
	}
	open.version, open.base, open.refused, open.said = c.version, p.Base, 0, ""
	if open.where == "" || r.cfg.Forge == nil {
		open.where = branch
	}
	if r.cfg.Forge != nil {
		title, body := r.promotionText(ctx, want, key, name, text, p.Message)
		pr, err := r.cfg.Forge.Propose(ctx, forge.PullRequest{Branch: branch, Base: r.cfg.Source.Branch(), Title: title, Body: body})
		if err != nil {
			return fmt.Errorf("opening a pull request for %s: %w", branch, err)
		}
		open.number, open.where = pr.Number, pr.URL
	}
	r.cfg.Metrics.Promotion(key.Environment, "proposed")
	r.cfg.Log.Info("a promotion is proposed", "release", key.String(), "version", c.version, "from", release.Promote.From, "where", open.where)
	return nil
}

// unchangedSince says whether a file is at the tip what it was at an older commit.
func (r *Reconciler) unchangedSince(ctx context.Context, commit gitops.Hash, tip *gitops.Snapshot, name string) bool {
	if commit == tip.Hash() {
		return true
	}
	was, err := r.cfg.Source.Snapshot(ctx, commit)
	if err != nil {
		return false
	}
	before, err := was.ReadFile(name)
	if err != nil {
		return false
	}
	now, err := tip.ReadFile(name)
	return err == nil && bytes.Equal(before, now)
}

const promotesTrailer = "Davit-Promotes: "

func promotionMessage(release *registry.Release, c candidate) string {
	from := release.Promote.From
	why := fmt.Sprintf("It is the newest version that %s has made.", from)
	if !c.since.IsZero() {
		why = fmt.Sprintf("It has been healthy in %s since %s.", from, c.since.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("Promote %s to %s\n\n%s\nIt replaces %s, and nothing else changes.\n\n%s",
		release.Key(), c.version, why, release.ModelVersion.Name, promotionTrailers(release, c.version))
}

func promotionTrailers(release *registry.Release, version string) string {
	return fmt.Sprintf("Davit-Release: %s\n%s%s@%s\nDavit-From: %s\n", release.Key(), promotesTrailer, release.Model.Name, version, release.Promote.From)
}

// openPromotion finds out what is there of a release's promotion. Only where something may be is Git asked, and its forge.
func (r *Reconciler) openPromotion(ctx context.Context, key registry.Key) (*promoting, error) {
	branch, st := PromotionBranch(key), r.seenHere(key)
	open := r.errands.promotion(key)
	if open == nil {
		open = &promoting{}
	}
	if st != nil && st.proposed != nil && !st.proposed.Declined && open.number == 0 {
		open.where, open.version = st.proposed.Where, st.proposed.Version
	}
	if open.where == "" && open.tip.IsZero() {
		return open, nil
	}
	if err := r.readBranch(ctx, branch, open); err != nil {
		return nil, err
	}
	return open, r.readPullRequest(ctx, key, open)
}

// readBranch finds the branch and whose it is.
func (r *Reconciler) readBranch(ctx context.Context, branch string, open *promoting) error {
	branches, err := r.cfg.Source.Branches(ctx, branch)
	if err != nil {
		return err
	}
	if open.tip = branches[branch]; open.tip.IsZero() {
		return nil
	}
	own, err := r.cfg.Source.Own(ctx, open.tip, *r.cfg.Committer)
	if err != nil {
		return fmt.Errorf("reading branch %s: %w", branch, err)
	}
	open.foreign = !own
	version, base, err := r.promotedBy(ctx, open.tip)
	if version != "" {
		open.version, open.base = version, base
	}
	return err
}

// promotedBy is the version that davit's commit on a branch promotes to, and what the commit stands on.
func (r *Reconciler) promotedBy(ctx context.Context, tip gitops.Hash) (version string, base gitops.Hash, err error) {
	most := 50
	err = r.cfg.Source.FirstParents(ctx, tip, func(c gitops.Commit, _ []string) (bool, error) {
		_, value, found := strings.Cut("\n"+c.Body, "\n"+promotesTrailer)
		if found {
			line, _, _ := strings.Cut(value, "\n")
			_, version, _ = strings.Cut(line, "@")
			if len(c.Parents) > 0 {
				base = c.Parents[0]
			}
		}
		most--
		return !found && most > 0, nil
	})
	return version, base, err
}

// readPullRequest finds out what a person did with it. One that was closed, or whose branch was deleted, is declined: that
// is remembered in the ModelRelease, for as long as there is a rule.
func (r *Reconciler) readPullRequest(ctx context.Context, key registry.Key, open *promoting) error {
	if open.number == 0 && strings.Contains(open.where, "://") {
		open.number, _ = strconv.Atoi(path.Base(open.where))
	}
	closed := open.tip.IsZero() && open.where != ""
	if r.cfg.Forge != nil && open.number == 0 && open.foreign {
		if err := r.findPullRequest(ctx, key, open); err != nil {
			return err
		}
	}
	if r.cfg.Forge != nil && open.number > 0 {
		pr, err := r.pullRequest(ctx, key, open.number)
		if err != nil {
			return err
		}
		if !pr.Closed && pr.Branch != PromotionBranch(key) { // the repository moved, and the number is another's there
			open.number, open.where = 0, PromotionBranch(key)
			return r.findPullRequest(ctx, key, open)
		}
		if open.merged = pr.Merged; pr.Merged && open.foreign {
			if open.foreign, err = r.unmerged(ctx, open.tip); err != nil {
				return err
			}
		}
		open.elsewhere = ""
		if pr.Base != r.cfg.Source.Branch() && !pr.Closed {
			open.elsewhere = fmt.Sprintf("its pull request goes to %s, and not to %s; a person is to merge it", pr.Base, r.cfg.Source.Branch())
		}
		closed = (closed || pr.Closed) && !pr.Merged
	}
	want := r.desired.Load()
	release := want.models.Release(key)
	if !closed || release == nil || release.ModelVersion.Name == open.version {
		return nil
	}
	if version, err := r.versionOnBranch(ctx, want, key); err != nil || version == open.version {
		return err // merged, and not tagged yet
	}
	before := slices.DeleteFunc(r.seenHere(key).declined(), func(v string) bool { return v == open.version })
	declined := &v1alpha1.Promotion{Version: open.version, Where: open.where, Declined: true, DeclinedBefore: before}
	if err := r.showPromotion(ctx, key, declined); err != nil {
		return err
	}
	r.cfg.Metrics.Promotion(key.Environment, "declined")
	r.cfg.Log.Info("a promotion was declined", "release", key.String(), "version", open.version)
	if err := r.deletePromotion(ctx, key, open); err != nil {
		return err
	}
	*open = promoting{}
	return nil
}

// findPullRequest finds the one that a person opened for a branch of theirs.
func (r *Reconciler) findPullRequest(ctx context.Context, key registry.Key, open *promoting) error {
	all, err := r.cfg.Forge.Open(ctx, PromotionBranch(key))
	if err != nil {
		return err
	}
	for _, pr := range all {
		if pr.Branch == PromotionBranch(key) {
			open.number, open.where = pr.Number, pr.URL
		}
	}
	return nil
}

// withdrawPromotion closes what no longer applies. A branch with a person's work that is not merged is left to that person.
func (r *Reconciler) withdrawPromotion(ctx context.Context, key registry.Key, open *promoting, why string) error {
	if !open.tip.IsZero() && !open.foreign {
		if r.cfg.Forge != nil && open.number > 0 {
			if err := r.cfg.Forge.Close(ctx, open.number, "This does not apply any more: "+plain(cmp.Or(why, "it was declined"))); err != nil {
				return err
			}
		}
		if err := r.deletePromotion(ctx, key, open); err != nil {
			return err
		}
		r.cfg.Log.Info("a promotion does not apply any more", "release", key.String(), "version", open.version, "why", why)
	}
	r.errands.promoted(key, nil)
	st, release := r.seenHere(key), r.desired.Load().models.Release(key)
	if st == nil || st.proposed == nil {
		return nil
	}
	declined := st.declined()
	if release == nil || release.Promote == nil {
		declined = nil
	} else if declined = slices.DeleteFunc(declined, func(v string) bool { return v == release.ModelVersion.Name }); len(declined) > 0 {
		last := &v1alpha1.Promotion{Version: declined[0], Declined: true, DeclinedBefore: declined[1:]}
		if st.proposed.Declined && st.proposed.Version == last.Version {
			last.Where = st.proposed.Where
		}
		return r.showPromotion(ctx, key, last)
	}
	return r.showPromotion(ctx, key, nil)
}

func (r *Reconciler) deletePromotion(ctx context.Context, key registry.Key, open *promoting) error {
	if open.tip.IsZero() || open.foreign {
		return nil
	}
	err := r.cfg.Source.DeleteBranch(ctx, PromotionBranch(key), open.tip)
	if errors.Is(err, gitops.ErrMoved) {
		return nil // somebody works on it now
	}
	return err
}

// tellNewer tells the people who work on a promotion that there is a newer version, once.
func (r *Reconciler) tellNewer(ctx context.Context, key registry.Key, open *promoting, version string) error {
	branch := PromotionBranch(key)
	if open.told == version {
		return nil
	}
	if r.cfg.Forge != nil && open.number > 0 {
		text := fmt.Sprintf("%s is eligible now. This branch has commits that are not davit's, so it stays as it is. To take the newer version, "+
			"close this and delete the branch `%s`: davit proposes it at once; or write the version into the branch.", plain(version), branch)
		if err := r.cfg.Forge.Comment(ctx, open.number, "newer", text); err != nil {
			return err
		}
	}
	open.told = version
	r.cfg.Log.Info("a newer version is eligible; its promotion's branch is somebody's now", "release", key.String(), "version", version, "branch", branch)
	return nil
}
