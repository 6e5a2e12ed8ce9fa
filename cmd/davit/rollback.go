package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// rollbackOptions are the flags of rollback.
type rollbackOptions struct {
	to, reason, branch string
	markBad, noWait    bool
	forge              forgeOptions
}

// maxReason is how long a reason may be: it stands in the status, and in every list.
const maxReason = 1000

func rollbackCommand(a *app) *cobra.Command {
	o := &rollbackOptions{}
	c := &cobra.Command{
		Use:   "rollback ENV/RELEASE --reason TEXT",
		Short: "Take a release back that is healthy and wrong: at once in the cluster, then by a revert in Git",
		Long: "Pins the release in the cluster to the last revision that was healthy with another version, which takes\n" +
			"seconds and needs no Git, and then pushes a branch with the revert, for a pull request. The pin ends when\n" +
			"the release's files change on the branch, by that revert or otherwise, or by davit resume. Neither gates nor\n" +
			"freezes stop it. Without rights in the cluster only the revert is made.",
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "go to this version instead, and change nothing else; or to the release's files at this revision")
	f.StringVar(&o.reason, "reason", "", "why; it stands in the pin, the outcome and the commit")
	f.BoolVar(&o.markBad, "mark-bad", false, "let no other release be promoted to the version that is left")
	f.StringVar(&o.branch, "branch", "", "the branch that is followed (default: the remote's HEAD, or the one checked out)")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait until the cluster has it")
	o.forge.flags(f)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		env, name, ok := strings.Cut(args[0], "/")
		switch {
		case !ok || env == "" || name == "":
			return usage{fmt.Errorf("%q is not ENV/RELEASE, such as production/iris", args[0])}
		case strings.TrimSpace(o.reason) == "":
			return usage{errors.New("say why: --reason TEXT")}
		case len(o.reason) > maxReason:
			return usage{fmt.Errorf("--reason has %d bytes; say it in %d", len(o.reason), maxReason)}
		}
		return a.rollback(cmd, registry.Key{Environment: env, Name: name}, o)
	}
	return c
}

// way is a rollback that is decided on.
type way struct {
	key    registry.Key
	by     string            // who asks
	from   v1alpha1.Revision // what is left
	to     string            // the version gone to
	good   gitops.Hash       // the commit gone to
	alone  bool              // only the version changes
	also   []registry.Key    // others that one of the files is also of
	pinned bool              // it is pinned there already: an earlier try came no further
	tip    gitops.Hash       // the followed branch, as far as it is known here
}

// errPinned is why a rollback ends after the pin: what was asked for did not come.
type errPinned struct{ error }

// rollback pins first, with what is known here and in the cluster: Git may be out of reach, and then it is no time to
// wait for it.
func (a *app) rollback(cmd *cobra.Command, key registry.Key, o *rollbackOptions) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	local, err := a.clone(ctx, o.branch)
	if err != nil {
		return err
	}
	source, err := a.source(ctx)
	if err != nil {
		return err
	}
	w := &way{key: key, by: a.me(ctx)}
	mr, noCluster := a.clusterRelease(ctx, key)
	if mr != nil && suspended(mr) {
		return fmt.Errorf("%s is suspended, and nothing of it changes; davit resume %s ends that, then run this again", key, key)
	}
	known, err := local.known(ctx)
	if w.tip = gitops.ParseHash(known); err == nil {
		err = a.choose(ctx, source, w, mr, o.to)
	}
	if err != nil || noCluster != nil { // what is known here is not enough
		before := err
		if known, err = local.fetch(ctx); err != nil {
			return errors.Join(before, err)
		}
		w.tip = gitops.ParseHash(known)
		if err = a.choose(ctx, source, w, mr, o.to); err != nil {
			return err
		}
	}
	if noCluster == nil && w.pinned {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is pinned to %s already\n", key, w.to)
	} else if noCluster == nil {
		if noCluster = a.pin(cmd, source, w, mr, o); errors.As(noCluster, new(errPinned)) {
			return noCluster
		}
	}
	if noCluster != nil {
		fmt.Fprintf(stderr, "davit: not pinned in the cluster, so %s serves until the revert is merged: %s\n", w.from.Version, plainLines(noCluster.Error()))
	}
	if known, err = local.fetch(ctx); err != nil {
		return fmt.Errorf("no revert yet: %w; run davit rollback %s again when Git is back", err, key)
	}
	w.tip = gitops.ParseHash(known)
	branch, err := a.revert(ctx, local, source, w, o)
	if err != nil {
		return fmt.Errorf("no revert yet: %w", err)
	}
	return o.forge.open(ctx, cmd.OutOrStdout(), local, branched{name: branch, what: "the revert", text: w.message(o.reason)})
}

func suspended(mr *v1alpha1.ModelRelease) bool {
	s := mr.Spec.Suspend
	return s != nil && (s.Until == nil || s.Until.After(time.Now()))
}

// pin turns the release in the cluster, and waits for what comes of it.
func (a *app) pin(cmd *cobra.Command, source *gitops.Source, w *way, mr *v1alpha1.ModelRelease, o *rollbackOptions) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	target, err := a.cluster(ctx)
	if err != nil {
		return err
	}
	pin := v1alpha1.Pin{
		Commit: w.good.String(), Tip: a.followed(ctx, source, w, mr), By: w.by, Reason: o.reason,
		At: metav1.NewMicroTime(time.Now().Truncate(time.Microsecond)),
	}
	if w.alone {
		pin.Version = w.to
	}
	began := time.Now()
	if err := target.Ask(ctx, mr, func(spec *v1alpha1.ModelReleaseSpec) { spec.Pin = &pin }); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s pinned to %s of %s\n", w.key, w.to, short(pin.Commit))
	for !o.noWait && time.Since(began) < 2*time.Minute {
		now, err := target.Release(ctx, mr.Namespace, w.key.Environment, w.key.Name)
		switch {
		case err != nil:
			return errPinned{fmt.Errorf("it is pinned, and what came of it is not known: %w; davit status %s tells, and the revert is not made", err, w.key)}
		case now == nil || now.Spec.Pin == nil || !now.Spec.Pin.At.Equal(&pin.At):
			return errPinned{fmt.Errorf("somebody took the pin away, or pinned another revision, meanwhile; no revert is made, and davit status %s shows what serves", w.key)}
		case now.Status.ObservedGeneration >= now.Generation && !now.Pending() && now.Status.Phase != v1alpha1.Progressing:
			if now.Status.Phase != v1alpha1.Healthy || now.Status.Applied.Version != w.to || now.Status.Reason == "PinRefused" {
				return errPinned{fmt.Errorf("%s is %s at %s: %s; davit status %[1]s shows what to do", w.key, now.Status.Phase, now.Status.Applied.Version, now.Status.Message)}
			}
			fmt.Fprintf(out, "%s %s after %s\n", w.to, now.Status.Phase, time.Since(began).Round(10*time.Millisecond))
			return nil
		}
		select {
		case <-ctx.Done():
			return errPinned{fmt.Errorf("it is pinned, and no revert is made: %w; run the command again for the revert, or davit resume %s", ctx.Err(), w.key)}
		case <-time.After(100 * time.Millisecond):
		}
	}
	fmt.Fprintf(out, "davit status %s shows how it goes\n", w.key)
	return nil
}

// followed is the commit that the controller follows: a change of the release's files that comes later ends the pin. A
// clone may be behind, and then a change that the controller has seen would seem to be later.
func (a *app) followed(ctx context.Context, source *gitops.Source, w *way, mr *v1alpha1.ModelRelease) string {
	if target, err := a.cluster(ctx); err == nil {
		if registries, err := target.Registries(ctx); err == nil {
			for _, r := range registries {
				for _, f := range r.Status.Followed {
					if r.Namespace+"/"+r.Name == mr.Spec.Owner && f.Environment == w.key.Environment {
						return f.Commit
					}
				}
			}
		}
	}
	newest := mr.Spec.Claim.Commit
	if mr.Status.Held != nil {
		newest = mr.Status.Held.Commit
	}
	for _, commit := range []string{mr.Spec.Claim.Commit, newest} {
		if ok, err := source.IsAncestor(ctx, gitops.ParseHash(commit), w.tip); err != nil || !ok {
			return newest
		}
	}
	return w.tip.String()
}

// revert makes and publishes the branch with the revert.
func (a *app) revert(ctx context.Context, local *clone, source *gitops.Source, w *way, o *rollbackOptions) (branch string, err error) {
	files, err := w.files(ctx, source)
	if err != nil {
		return "", err
	}
	if o.markBad {
		bad, err := w.bad(ctx, source, o.reason)
		if err != nil {
			return "", err
		}
		files = append(files, bad)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("the files of %s are those of %.12s already; davit status %[1]s shows what keeps them from the cluster", w.key, w.good)
	}
	commit, err := local.commit(ctx, w.tip.String(), w.message(o.reason), files)
	if err != nil {
		return "", err
	}
	branch = reconciler.RollbackBranch(w.key)
	return branch, local.publish(ctx, branch, commit, local.sameTrailer("Davit-Release: "+w.key.String()))
}

// files are what the branch changes.
func (w *way) files(ctx context.Context, source *gitops.Source) ([]gitops.FileChange, error) {
	w.also = nil
	if !w.alone {
		r, err := reconciler.NewRevert(ctx, source, w.tip, w.good, w.key)
		w.also = r.Also
		return r.Files, err
	}
	snapshot, err := source.Snapshot(ctx, w.tip)
	if err != nil {
		return nil, err
	}
	name, text, err := registry.WithVersion(snapshot, w.key, w.to)
	if err != nil {
		return nil, err
	}
	was, err := snapshot.ReadFile(name)
	if err != nil || string(was) == string(text) {
		return nil, err
	}
	return []gitops.FileChange{{Path: name, Content: text}}, nil
}

// message is the revert's commit message, and the pull request's title and body.
func (w *way) message(reason string) string {
	also := ""
	for _, key := range w.also {
		also += fmt.Sprintf("One of the files is also that of %s.\n", key)
	}
	if also != "" {
		also += "\n"
	}
	return fmt.Sprintf("Roll %s back to %s\n\n%s\n\n%s of %.12s was healthy; %s turned away from it.\n\n%s"+
		"Davit-Release: %s\nDavit-Reverts: %s\nDavit-Restores: %s\n",
		w.key, w.to, strings.TrimSpace(reason), w.from.Version, w.from.Commit, w.by, also, w.key, w.from.Commit, w.good)
}
