package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// versionBranches begin the names of the branches where versions are proposed that runs made.
const versionBranches = gitops.OwnBranches + "train/"

// proposeVersion proposes the version that a run made, once: a person may close the pull request. A version that names the
// run, in the followed branch or in a proposal that an earlier process made, is taken for it.
func (r *Reconciler) proposeVersion(ctx context.Context, x *running) error {
	want, err := r.onBase(ctx, r.wanted(x.Environment))
	if err != nil {
		return err
	}
	model := want.models.Models[x.training.Model]
	if model == nil {
		r.untrained(x.key, x.training, "no version is proposed: the model is not in the registry, or has a fault")
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(model.Versions)) { // of two the same one each time
		if model.Versions[name].Spec.Lineage.TrainedBy == x.Name {
			return r.recordVersion(ctx, x, name)
		}
	}
	if r.cfg.Committer == nil {
		r.byHand(x, "this controller writes nothing to Git")
		return nil
	}
	result, found, err := r.result(ctx, x)
	unsound := new(image.ContentError)
	switch {
	case errors.As(err, &unsound):
		r.untrained(x.key, x.training, "no version is proposed of what it made: "+unsound.Error())
		return nil
	case err == nil && !found:
		err = errors.New("the OCI registry has its result no more")
	}
	if err != nil {
		return fmt.Errorf("reading what %s made: %w", x.Name, err)
	}
	r.trainings.proposing.Lock() // or two runs that end at once would take the same free name
	defer r.trainings.proposing.Unlock()
	version, err := r.versionName(ctx, x, want, model)
	if err != nil {
		return err
	}
	if err := r.publishVersion(ctx, x, want, version, result); err != nil {
		return r.keptOrRetried(x, err)
	}
	return r.recordVersion(ctx, x, version)
}

// versionName is the name of an earlier process' proposal, or one that is free.
func (r *Reconciler) versionName(ctx context.Context, x *running, want *desired, model *registry.Model) (string, error) {
	prefix := versionBranches + model.Name + "/"
	branches, err := r.cfg.Source.Branches(ctx, prefix)
	if err != nil {
		return "", fmt.Errorf("listing proposed versions: %w", err)
	}
	proposed := map[string]bool{}
	for branch, tip := range branches {
		version := strings.TrimPrefix(branch, prefix)
		proposed[version] = true
		c, err := r.cfg.Source.Commit(ctx, tip)
		if err != nil {
			continue // it is not in the mirror, and of somebody else
		}
		if run, _ := c.Trailer(made.RunTrailer); run == x.Name {
			return version, nil
		}
	}
	return x.training.VersionName(x.Name, x.Ended, func(name string) bool {
		_, err := fs.Stat(want.snapshot, path.Join(path.Dir(model.Path), "versions", name+".yaml"))
		return proposed[name] || err == nil
	}), nil
}

// publishVersion pushes the branch and opens the pull request.
func (r *Reconciler) publishVersion(ctx context.Context, x *running, want *desired, version string, result image.RunResult) error {
	m, files, err := r.madeOf(ctx, x, want, version, result)
	if err != nil {
		return err
	}
	branch := m.Branch()
	_, err = r.cfg.Source.Propose(ctx, gitops.Proposal{
		Branch: branch, Base: want.snapshot.Hash(), Files: files,
		Message: m.Message(), Author: *r.cfg.Committer, When: x.Ended,
	})
	switch {
	case errors.Is(err, gitops.ErrNoChange): // it is merged
		return nil
	case errors.Is(err, gitops.ErrForeignBranch): // somebody goes on with it
		r.cfg.Log.Warn("a version is not proposed again", "branch", branch, "run", x.Name, "why", err)
		return nil
	case err != nil:
		return fmt.Errorf("proposing %s: %w", m, err)
	}
	where := branch
	if r.cfg.Forge != nil {
		title, body := m.PullRequest(r.servingOf(want, x.training.Model))
		pr, err := r.cfg.Forge.Propose(ctx, forge.PullRequest{Branch: branch, Base: r.cfg.Source.Branch(), Title: title, Body: body})
		if err != nil {
			return fmt.Errorf("opening a pull request for %s: %w", branch, err)
		}
		where = pr.URL
	}
	r.cfg.Log.Info("a version is proposed", "model", x.training.Model, "version", version, "run", x.Name, "where", where)
	return nil
}

// recordVersion writes into the ledger what the version is called.
func (r *Reconciler) recordVersion(ctx context.Context, x *running, version string) error {
	x.Version = version
	return r.recordRun(ctx, x, gitops.RunSucceeded, gitops.RunSucceeded)
}

// servingOf lists what a model's releases are healthy with, or ask for where they never were.
func (r *Reconciler) servingOf(want *desired, model string) (all []made.Serving) {
	for _, release := range want.models.Releases {
		if release.Model.Name != model {
			continue
		}
		serving := made.ServingOf(release)
		if _, healthy := r.heldOf(release.Key()); healthy.Version != "" && release.Model.Versions[healthy.Version] != nil {
			serving.Version, serving.Metrics = healthy.Version, release.Model.Versions[healthy.Version].Spec.Metrics
		}
		all = append(all, serving)
	}
	return all
}
