package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

func statusCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ENV[/RELEASE]]",
		Short: "Show what runs, since which commit, by whom, and what needs a person",
		Long: "Lists releases, those that need a person first, each with the command that helps. Of one release it shows\n" +
			"all there is to know: what serves, what the branch asks for, what is on its way, held, pinned, suspended\n" +
			"or waiting, why, and how to get out of it. After the releases come the runs of trainings that are under way, ended\n" +
			"within a day, or wait for their version to be merged; -o json and yaml have the releases alone: davit train list\n" +
			"-o json has the runs.",
		Args: cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		releases, err := a.clusterReleases(cmd.Context(), args)
		if err != nil {
			return err
		}
		if len(releases) == 0 && len(args) == 1 {
			if all, err := a.clusterReleases(cmd.Context(), nil); err != nil || (len(all) > 0 || strings.Contains(args[0], "/")) && !a.hasEnvironment(cmd.Context(), args[0]) {
				return errors.Join(err, fmt.Errorf("no release %q in the cluster; davit status lists those there are", args[0]))
			}
		}
		switch {
		case *format != "table":
			return printData(cmd.OutOrStdout(), *format, releases, nil, nil)
		case len(releases) == 0:
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: no releases%s in the cluster; davit sync brings them there\n", of(args))
			return a.statusRuns(cmd, args)
		}
		v, err := a.view(cmd.Context())
		if err != nil {
			return err
		}
		if len(args) == 1 && strings.Contains(args[0], "/") {
			for _, mr := range releases { // one; while it moves to another namespace, two
				if err := v.page(cmd.Context(), cmd.OutOrStdout(), mr); err != nil {
					return err
				}
			}
			return nil
		}
		if err := printData(cmd.OutOrStdout(), "table", nil, listHeader, v.list(cmd.Context(), releases)); err != nil {
			return err
		}
		for _, mr := range v.registries {
			for _, r := range mr.Status.Rollouts {
				if len(args) == 0 || args[0] == r.Environment {
					fmt.Fprintln(cmd.OutOrStdout(), plain(rollout(r)))
				}
			}
		}
		return a.statusRuns(cmd, args)
	}
	return c
}

// of names the environment that was asked for.
func of(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return " of " + args[0]
}

// hasEnvironment says whether the registry here has an environment, which may only train.
func (a *app) hasEnvironment(ctx context.Context, name string) bool {
	fsys, err := a.tree(ctx, io.Discard)
	if err != nil {
		return false
	}
	models, err := registry.Load(fsys)
	return err == nil && models.Environments[name] != nil
}

// view is what status goes by beside the releases.
type view struct {
	registries []v1alpha1.ModelRegistry
	source     *gitops.Source   // nil where there is no repository
	tip        *gitops.Snapshot // of the branch here; nil when there is none
	commits    map[string]gitops.Commit
	now        time.Time
}

// view reads the ModelRegistries, of which who may not read them has none, and the repository, if there is one.
func (a *app) view(ctx context.Context) (*view, error) {
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{commits: map[string]gitops.Commit{}, now: time.Now()}
	v.registries, err = target.Registries(ctx)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return nil, err
	}
	if v.source, err = a.source(ctx); err != nil {
		v.source = nil
		return v, nil
	}
	rev := a.rev
	if rev == "" {
		rev = a.followedHere(ctx)
	}
	if tip, err := v.source.Resolve(ctx, rev); err == nil {
		v.tip, err = v.source.Snapshot(ctx, tip)
		return v, err
	} else if a.rev != "" {
		return nil, err
	}
	return v, nil
}

// followedHere is the followed branch's commit as far as a clone can tell: its remote's, where it has one.
func (a *app) followedHere(ctx context.Context) string {
	if local, err := a.clone(ctx, ""); err == nil {
		if tip, err := local.known(ctx); err == nil {
			return tip
		}
	}
	return "HEAD"
}

// commit is one of the repository here; false for one that is not in it.
func (v *view) commit(ctx context.Context, hash string) (gitops.Commit, bool) {
	if c, ok := v.commits[hash]; ok || hash == "" || v.source == nil {
		return c, ok && !c.Hash.IsZero()
	}
	c, err := gitops.Commit{}, error(nil)
	if h, resolveErr := v.source.Resolve(ctx, hash); resolveErr == nil {
		c, err = v.source.Commit(ctx, h)
	}
	v.commits[hash] = c
	return c, err == nil && !c.Hash.IsZero()
}

// situation is that of one release.
func (v *view) situation(ctx context.Context, mr *v1alpha1.ModelRelease) situation {
	s := situation{now: v.now}
	for i, r := range v.registries {
		if mr.Spec.Owner == r.Namespace+"/"+r.Name {
			s.registry = &v.registries[i]
		}
	}
	if v.tip != nil {
		s.tip = v.tip.Hash().String()
	}
	held := mr.Status.Held
	if held == nil || v.tip == nil {
		return s
	}
	if c, ok := v.commit(ctx, held.Commit); ok {
		s.merge = len(c.Parents) > 1
	}
	for _, branch := range []string{"davit/revert/" + releaseOf(mr), "origin/davit/revert/" + releaseOf(mr)} {
		if hash, err := v.source.Resolve(ctx, branch); err == nil && s.proposal == "" {
			if merged, err := v.source.IsAncestor(ctx, hash, v.tip.Hash()); err == nil && !merged {
				s.proposal = branch
			}
		}
	}
	return s
}

// wants is what the branch asks of a release.
type wants struct {
	release *registry.Release // nil when it is gone or has a fault
	fault   string
	gone    bool
	commit  gitops.Commit // that asked for it
	same    bool          // it is what is applied
}

// wants reads it; nil where there is no repository.
func (v *view) wants(ctx context.Context, mr *v1alpha1.ModelRelease) (*wants, error) {
	if v.tip == nil {
		return nil, nil
	}
	key := registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}
	models, err := registry.LoadRelease(v.tip, key)
	if err != nil {
		return nil, nil // the folder is another repository's
	}
	w := &wants{release: models.Release(key)}
	if w.release == nil {
		if faults := models.Broken[key]; len(faults) > 0 {
			w.fault = faults[0].String()
		} else {
			w.gone = true
		}
		return w, nil
	}
	input, err := inputs(v.tip, w.release.WithPullSecrets(mr.Status.PullSecrets))
	if err != nil {
		return nil, err
	}
	if w.same = input == mr.Status.Applied.InputKey; w.same {
		return w, nil
	}
	return w, v.source.FirstParents(ctx, v.tip.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		w.commit = c
		if !slices.ContainsFunc(paths, w.release.Opens) {
			return true, nil
		}
		before, err := v.inputsBefore(ctx, c, key, mr.Status.PullSecrets)
		return before == input, err
	})
}

// inputs are what a release is rendered from, as the controller records it.
func inputs(fsys fs.FS, r *registry.Release) (string, error) {
	return r.InputKey(fsys, "layout "+strconv.Itoa(image.LayoutVersion), "renderer "+strconv.Itoa(render.Version))
}

// inputsBefore are a release's before a commit; "" where it was not there or had a fault.
func (v *view) inputsBefore(ctx context.Context, c gitops.Commit, key registry.Key, pullSecrets []string) (string, error) {
	if len(c.Parents) == 0 {
		return "", nil
	}
	before, err := v.source.Snapshot(ctx, c.Parents[0])
	if err != nil {
		return "", ctx.Err() // a shallow clone ends here
	}
	models, err := registry.LoadRelease(before, key)
	if err != nil || models.Release(key) == nil {
		return "", nil
	}
	return inputs(before, models.Release(key).WithPullSecrets(pullSecrets))
}

func rollout(r v1alpha1.Rollout) string {
	text := fmt.Sprintf("%s: shared change %s, wave %d of %d, %d of %s begun", r.Environment, short(r.Commit), r.Wave, r.Waves, r.Begun, counted(r.Releases, "release"))
	if len(r.Failed) > 0 {
		text += "; failed: " + strings.Join(r.Failed, ", ")
	}
	switch {
	case r.Stopped:
		text += "; stopped: git revert " + short(r.Commit) + " takes it back from all at once"
	case r.NotBefore != nil:
		text += "; this wave begins " + r.NotBefore.Local().Format(time.DateTime)
	}
	if r.Soak != "" {
		text += "; soak: " + r.Soak
	}
	return text
}

// phase is Progressing, too, while a claim has no outcome.
func phase(mr *v1alpha1.ModelRelease) v1alpha1.Phase {
	if mr.Pending() && mr.Status.Phase != v1alpha1.Waiting {
		return v1alpha1.Progressing
	}
	return mr.Status.Phase
}

// stands is the phase, after what is more than that.
func stands(mr *v1alpha1.ModelRelease) string {
	text := orDash(string(phase(mr)))
	if refused(mr) {
		text = "pin refused, " + text
	}
	return text
}

// uninstalled adds to an error of a cluster without davit's CRD what to do.
func uninstalled(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w; run davit install, or davit install --crds for davit sync, first", err)
	}
	return err
}

// clusterReleases are the ModelReleases an argument selects, ordered by environment and name.
func (a *app) clusterReleases(ctx context.Context, args []string) ([]*v1alpha1.ModelRelease, error) {
	match, err := selector(args)
	if err != nil {
		return nil, err
	}
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	all, err := target.Releases(ctx)
	if err != nil {
		return nil, uninstalled(err)
	}
	out := make([]*v1alpha1.ModelRelease, 0, len(all))
	for _, mr := range all {
		if match(registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}) {
			out = append(out, mr)
		}
	}
	slices.SortFunc(out, func(a, b *v1alpha1.ModelRelease) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
