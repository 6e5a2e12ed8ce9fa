package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// drifted is one field that somebody changed, or an object that is gone.
type drifted struct {
	Release string   `json:"release"`
	Object  string   `json:"object"`
	Field   string   `json:"field,omitempty"` // empty: the object is gone
	Live    string   `json:"live,omitempty"`
	Wanted  string   `json:"wanted,omitempty"`
	By      []string `json:"by,omitempty"`
}

func driftCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "drift [ENV[/RELEASE]]",
		Short: "Show what someone changed, field by field; exit code 3 when there is something",
		Long: "Compares the objects in the cluster with what their applied revisions render to, by a dry run of the API\n" +
			"server. Nothing is written. Values that may be secret are not shown. Releases of other registries that share the\n" +
			"cluster are left out, and it says which.",
		Args: cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		releases, err := a.clusterReleases(cmd.Context(), args)
		if err != nil {
			return err
		}
		all, err := a.drift(cmd.Context(), releases)
		if err != nil {
			return err
		}
		incomplete, found := all.tell(cmd.ErrOrStderr()), all.found
		if *format == "table" && len(found) == 0 {
			if len(all.ours) > 0 || incomplete == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "no drift in %s\n", counted(len(all.ours), "release"))
			}
			return incomplete
		}
		var rows [][]any
		for _, d := range found {
			field := orDash(d.Field)
			if d.Field == "" {
				field = "(gone)"
			}
			rows = append(rows, []any{d.Release, d.Object, field, orDash(d.Live), orDash(d.Wanted), orDash(strings.Join(d.By, ", "))})
		}
		header := []any{"RELEASE", "OBJECT", "FIELD", "LIVE", "WANTED", "CHANGED BY"}
		if err := printData(cmd.OutOrStdout(), *format, found, header, rows); err != nil {
			return err
		}
		if incomplete == nil && len(found) > 0 {
			return exit(exitChanges)
		}
		return incomplete
	}
	return c
}

// compared is what came of comparing releases.
type compared struct {
	split
	found []drifted
}

func (a *app) drift(ctx context.Context, releases []*v1alpha1.ModelRelease) (*compared, error) {
	v, err := a.view(ctx)
	if err != nil {
		return nil, err
	}
	source, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	out := &compared{split: sortOut(ctx, source, v.registries, releases), found: []drifted{}}
	for _, mr := range out.ours {
		key := registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}
		objects, err := applied(ctx, source, key, mr)
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", key, err)
		}
		found, err := target.Drift(ctx, mr, objects.Objects)
		if err != nil {
			return nil, err
		}
		out.found = append(out.found, flat(key, found)...)
	}
	return out, nil
}

// applied renders a release as it was applied.
func applied(ctx context.Context, source *gitops.Source, key registry.Key, mr *v1alpha1.ModelRelease) (*render.Output, error) {
	revision := mr.Status.Applied
	commit, err := source.Resolve(ctx, revision.Commit)
	if err != nil {
		return nil, err
	}
	snapshot, err := source.Snapshot(ctx, commit)
	if err != nil {
		return nil, err
	}
	models, err := registry.LoadRelease(snapshot, key)
	if err != nil {
		return nil, err
	}
	release := models.Release(key)
	if release == nil {
		return nil, fmt.Errorf("it is not in the registry at %s", short(revision.Commit))
	}
	return render.Release(snapshot, release.WithPullSecrets(mr.Status.PullSecrets), revision.Image)
}

func flat(key registry.Key, found []cluster.ObjectDrift) (out []drifted) {
	for _, o := range found {
		d := drifted{Release: key.String(), Object: o.Ref.String()}
		if o.Missing {
			out = append(out, d)
		}
		for _, f := range o.Fields {
			d.Field, d.Live, d.Wanted, d.By = f.Path, f.Live, f.Wanted, f.Managers
			out = append(out, d)
		}
	}
	return out
}
