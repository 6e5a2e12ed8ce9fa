package reconciler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/registry"
)

// aroundMerge is how long the followed branch may take to be read: a merge waits for what was pushed, and its branch goes
// when what it merged was read.
const aroundMerge = 2 * time.Second

// mergeVersion merges what a run made where its training, as the followed branch has it, says merge: auto. It returns when
// to look again; what is merged, or closed by a person, or for a person to merge, is over.
func (r *Reconciler) mergeVersion(ctx context.Context, key runKey, run gitops.Run) (time.Duration, error) {
	want := r.wanted(key.environment)
	t := want.models.Trainings[run.Training]
	if r.cfg.Committer == nil || run.Version == "" || t == nil || t.Spec.Merge != "auto" || t.Environment.Name != run.Environment {
		r.overRun(key)
		return 0, nil
	}
	x := &running{Run: run, key: key, asked: true}
	branch := versionBranches + t.Model + "/" + run.Version
	branches, err := r.cfg.Source.Branches(ctx, branch)
	tip := branches[branch]
	switch model := want.models.Models[t.Model]; {
	case err != nil:
		return 0, fmt.Errorf("looking for branch %s: %w", branch, err)
	case tip.IsZero(): // nobody is to have it merged
		r.overRun(key)
		return 0, nil
	case model == nil:
		return r.unmergedVersion(x, "the model is not in the registry, or has a fault"), nil
	case model.Versions[run.Version] != nil && model.Versions[run.Version].Spec.Lineage.TrainedBy == run.Name:
		return 0, r.clearVersion(ctx, key, branch, tip)
	}
	if x.spec, err = r.reopen(ctx, x); err != nil {
		return 0, err
	}
	if why := r.untagged(); why != "" {
		return r.unmergedVersion(x, why), nil
	}
	policy := t.Environment.Spec.Policy
	if floor := r.floorOf(key.environment); floor != nil {
		policy = policy.And(*floor)
	}
	if !policy.AutoMerge {
		return r.unmergedVersion(x, fmt.Sprintf("environment %s does not let rules merge (autoMerge); a person is to merge it", key.environment)), nil
	}
	if late, err := r.late(ctx, key.environment, want); err != nil || late > 0 {
		return late, err
	}
	return r.mergeOpen(ctx, x, want, branch, tip)
}

// late says how long to wait where the environment is not at the tip of the followed branch: what it does not follow
// nothing is merged into.
func (r *Reconciler) late(ctx context.Context, environment string, want *desired) (time.Duration, error) {
	if _, behind := r.desired.Load().behind[environment]; behind {
		return lookAtPromotion, nil
	}
	tip, err := r.cfg.Source.Fetch(ctx)
	if err != nil || tip == want.snapshot.Hash() {
		return 0, err
	}
	r.cfg.Source.Notify()
	return aroundMerge, nil
}

// mergeOpen merges a version's branch where it is davit's own and open, and has what the version of the run is now and
// nothing else. Where the registry went on, what is removed with it may be other than when it was proposed: then it is
// proposed anew first.
func (r *Reconciler) mergeOpen(ctx context.Context, x *running, want *desired, branch string, tip gitops.Hash) (time.Duration, error) {
	p, waits, err := r.openVersion(ctx, x, branch, tip)
	if err != nil || waits != "" {
		return r.unmergedVersion(x, waits), err
	}
	result, found, err := r.result(ctx, x)
	if err != nil || !found {
		return r.unmergedVersion(x, "the OCI registry has its result no more"), err
	}
	m, files, err := r.madeOf(ctx, x, want, x.Version, result)
	if err != nil {
		return 0, err
	}
	same, err := r.changesOnly(ctx, want, tip, files)
	switch {
	case err != nil:
		return 0, err
	case !same:
		return aroundMerge, r.publishVersion(ctx, x, want, x.Version, result)
	}
	title, body, _ := strings.Cut(m.Message(), "\n\n")
	p.onto, p.files, p.title, p.body = want.snapshot.Hash(), files, title, body
	return r.mergeMade(ctx, x, p)
}

// openVersion says whose a version's branch is, and finds its pull request where there is a forge.
func (r *Reconciler) openVersion(ctx context.Context, x *running, branch string, tip gitops.Hash) (p proposed, waits string, err error) {
	p.tip, p.where = tip, branch
	own, err := r.cfg.Source.Own(ctx, tip, *r.cfg.Committer)
	switch {
	case err != nil:
		return p, "", fmt.Errorf("reading branch %s: %w", branch, err)
	case !own:
		return p, "its branch has commits that are not davit's; a person is to merge it", nil
	case r.cfg.Forge == nil:
		return p, "", nil
	}
	open, err := r.cfg.Forge.Open(ctx, branch)
	if err != nil {
		return p, "", err
	}
	i := slices.IndexFunc(open, func(pr forge.PullRequest) bool { return pr.Branch == branch })
	if i < 0 {
		return p, "its pull request is closed", nil
	}
	if base := open[i].Base; base != r.cfg.Source.Branch() {
		return p, fmt.Sprintf("its pull request goes to %s, and not to %s; a person is to merge it", base, r.cfg.Source.Branch()), nil
	}
	p.number, p.where = open[i].Number, open[i].URL
	return p, "", nil
}

// changesOnly says whether a branch makes these changes and no others of what the followed branch is at.
func (r *Reconciler) changesOnly(ctx context.Context, want *desired, tip gitops.Hash, files []gitops.FileChange) (bool, error) {
	bases, err := r.cfg.Source.MergeBases(ctx, want.snapshot.Hash(), tip)
	if err != nil || len(bases) != 1 {
		return false, err
	}
	paths, err := r.cfg.Source.Differ(ctx, bases[0], tip)
	if err != nil || len(paths) != len(files) {
		return false, err
	}
	has, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return false, err
	}
	for _, f := range files {
		text, err := has.ReadFile(f.Path)
		if !slices.Contains(paths, f.Path) || f.Delete != errors.Is(err, fs.ErrNotExist) || !f.Delete && (err != nil || !bytes.Equal(text, f.Content)) {
			return false, nil
		}
	}
	return true, nil
}

// mergeMade merges, and has it tried again where that is refused.
func (r *Reconciler) mergeMade(ctx context.Context, x *running, p proposed) (time.Duration, error) {
	waits, refused, err := r.merge(ctx, p)
	switch {
	case errors.Is(err, gitops.ErrMoved):
		return aroundMerge, nil
	case err != nil:
		return 0, fmt.Errorf("merging version %s of %s: %w", x.Version, x.Name, err)
	case waits != "":
		return r.unmergedVersion(x, waits), nil
	case refused != nil:
		times := r.refusedVersion(x.key)
		waits, again, err := r.refusedMerge(ctx, p.number, times, refused)
		r.unmergedVersion(x, waits)
		return again, err
	}
	r.cfg.Log.Info("a version was merged by its training", "training", x.Training, "version", x.Version, "run", x.Name, "where", p.where)
	return aroundMerge, nil
}

// clearVersion removes the branch of a version that is merged, unless somebody goes on with it.
func (r *Reconciler) clearVersion(ctx context.Context, key runKey, branch string, tip gitops.Hash) error {
	own, err := r.cfg.Source.Own(ctx, tip, *r.cfg.Committer)
	if err == nil && own {
		err = r.cfg.Source.DeleteBranch(ctx, branch, tip)
	}
	if err == nil || errors.Is(err, gitops.ErrMoved) {
		r.overRun(key)
		return nil
	}
	return err
}

// unmergedVersion tells once why a version is not merged, and says when to look again: no push tells that a person changed
// something on the forge.
func (r *Reconciler) unmergedVersion(x *running, why string) time.Duration {
	r.trainings.mu.Lock()
	told := r.trainings.told[x.key]
	if why != "" {
		r.trainings.told[x.key] = why
	}
	r.trainings.mu.Unlock()
	if why != "" && told != why {
		r.cfg.Log.Info("a version is not merged yet", "training", x.Training, "version", x.Version, "run", x.Name, "why", why)
	}
	if time.Since(x.Ended) > lookAtOther { // whoever closed it had the time to mean it
		return lookAtOther
	}
	return lookAtPromotion
}

func (r *Reconciler) refusedVersion(key runKey) int {
	r.trainings.mu.Lock()
	defer r.trainings.mu.Unlock()
	r.trainings.refuse[key]++
	return r.trainings.refuse[key]
}

// resumeMerges has the versions looked at that an earlier process proposed and whose branch is still there.
func (r *Reconciler) resumeMerges(ctx context.Context, ledger map[string]gitops.Run) error {
	branches, err := r.cfg.Source.Branches(ctx, versionBranches)
	if err != nil || len(branches) == 0 {
		return err
	}
	for hash, run := range ledger {
		model, _, _ := strings.Cut(run.Training, "/")
		if tip := branches[versionBranches+model+"/"+run.Version]; run.Version != "" && !tip.IsZero() && r.mine(run.Environment) {
			r.trainings.queue.Add(runKey{run.Environment, hash})
		}
	}
	return nil
}

// autoFromNow has those runs looked at again whose trainings merge by themselves from this commit on: what they made may be
// open. It needs the lock of trainings.
func (r *Reconciler) autoFromNow(before, now map[*registry.Training]string) {
	auto := map[runKey]bool{}
	for t, hash := range before {
		if t.Spec.Merge == "auto" {
			auto[runKey{t.Environment.Name, hash}] = true
		}
	}
	for t, hash := range now {
		if key := (runKey{t.Environment.Name, hash}); t.Spec.Merge == "auto" && !auto[key] {
			delete(r.trainings.over, key)
		}
	}
}
