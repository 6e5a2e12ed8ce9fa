package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func statusCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ENV[/RELEASE]]",
		Short: "Show what runs, since which commit, by whom",
		Args:  cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		releases, err := a.clusterReleases(cmd.Context(), args)
		if err != nil {
			return err
		}
		source, sourceErr := a.source(cmd.Context())
		header := []any{"RELEASE", "VERSION", "PHASE", "SINCE", "COMMIT", "BY", "MESSAGE"}
		var rows [][]any
		for _, mr := range releases {
			st := mr.Status
			by, merge := "-", false
			if sourceErr == nil {
				by, _ = about(cmd.Context(), source, st.Applied.Commit)
				if st.Held != nil {
					_, merge = about(cmd.Context(), source, st.Held.Commit)
				}
			}
			rows = append(rows, []any{
				mr.Spec.Environment + "/" + mr.Spec.Release, versions(mr), phase(mr),
				age(st.Applied.Time.Time), orDash(short(st.Applied.Commit)), by, advice(mr, merge),
			})
		}
		if *format == "table" && len(rows) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "davit: no releases in the cluster; davit sync brings them there")
			return nil
		}
		if err := printData(cmd.OutOrStdout(), *format, releases, header, rows); err != nil || *format != "table" {
			return err
		}
		return a.printRollouts(cmd, args)
	}
	return c
}

// printRollouts tells of the shared changes that ModelRegistries say are under way; who may not read those has none.
func (a *app) printRollouts(cmd *cobra.Command, args []string) error {
	target, err := a.cluster(cmd.Context())
	if err != nil {
		return err
	}
	registries, err := target.Registries(cmd.Context())
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	} else if err != nil {
		return err
	}
	for _, mr := range registries {
		for _, r := range mr.Status.Rollouts {
			if len(args) == 0 || strings.HasPrefix(args[0]+"/", r.Environment+"/") {
				fmt.Fprintln(cmd.OutOrStdout(), rollout(r))
			}
		}
	}
	return nil
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
	return text
}

// versions is the applied version and, while a claim has no outcome, the one on its way.
func versions(mr *v1alpha1.ModelRelease) string {
	is, next := mr.Status.Applied.Version, mr.Spec.Claim.Version
	if mr.Pending() && next != is && is != "" {
		return is + " → " + next
	}
	if is == "" {
		return orDash(next)
	}
	return is
}

// phase is Progressing, too, while a claim has no outcome.
func phase(mr *v1alpha1.ModelRelease) v1alpha1.Phase {
	if mr.Pending() && mr.Status.Phase != v1alpha1.Waiting {
		return v1alpha1.Progressing
	}
	return mr.Status.Phase
}

// advice is the status's message and, for a release that is suspended, held or changed by others, what to do.
func advice(mr *v1alpha1.ModelRelease, merge bool) string {
	parts := []string{mr.Status.Message}
	name := mr.Spec.Environment + "/" + mr.Spec.Release
	if stop := mr.Spec.Suspend; stop != nil && (stop.Until == nil || stop.Until.After(time.Now())) {
		text := "suspended by " + orDash(stop.By)
		if stop.Until != nil {
			text += " until " + stop.Until.Local().Format(time.DateTime)
		}
		if stop.Reason != "" {
			text += " (" + stop.Reason + ")"
		}
		parts = append(parts, text+": davit resume "+name)
	}
	if held := mr.Status.Held; held != nil {
		if parts[0] == "" {
			parts[0] = held.Reason
		}
		revert := "git revert "
		if merge {
			revert += "-m 1 "
		}
		parts = append(parts, "held until the release's files change: "+revert+short(held.Commit))
	}
	if n := len(mr.Status.Drift); n > 0 {
		parts = append(parts, counted(n, "object")+" changed by others: davit drift "+name)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return strings.TrimSpace(s) == "" }), "; ")
}

// uninstalled adds to an error of a cluster without davit's CRD what to do.
func uninstalled(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w; run davit install first", err)
	}
	return err
}

// about is a commit's author, and whether it is a merge; "-" for a commit that is not in the repository.
func about(ctx context.Context, source *gitops.Source, commit string) (author string, merge bool) {
	if commit == "" {
		return "-", false
	}
	hash, err := source.Resolve(ctx, commit)
	if err != nil {
		return "-", false
	}
	c, err := source.Commit(ctx, hash)
	if err != nil {
		return "-", false
	}
	return c.Author.Name, len(c.Parents) > 1
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
