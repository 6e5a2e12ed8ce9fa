package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// clusterPatience is how long a cluster is waited for that nobody named.
const clusterPatience = 3 * time.Second

type readEvents = func(context.Context, map[gitops.Hash]bool) ([]gitops.Noted, error)

// outcomes says where outcomes come from: Git's notes, or the cluster when there are none or it was asked for. Nil are
// the notes.
func (a *app) outcomes(cmd *cobra.Command, args []string, source *gitops.Source, forced bool) (readEvents, error) {
	there, err := source.HasEvents()
	if err != nil || there && !forced {
		return nil, err
	}
	ctx := cmd.Context()
	if !forced {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clusterPatience)
		defer cancel()
	}
	releases, err := a.clusterReleases(ctx, args)
	switch {
	case err != nil && forced:
		return nil, err
	case err != nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: without outcomes: %v; git fetch origin davit/outcome:davit/outcome brings those in Git\n", err)
		return nil, nil
	case !there:
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: no outcomes in this clone; those shown are the last five that the cluster keeps of a release")
	}
	var kept []gitops.Noted
	for _, mr := range releases {
		kept = append(kept, keptBy(mr)...)
	}
	return func(ctx context.Context, want map[gitops.Hash]bool) ([]gitops.Noted, error) {
		events, err := source.Events(ctx, want)
		if err != nil {
			return nil, err
		}
		return merged(events, kept), nil
	}, nil
}

// merged adds what no note tells.
func merged(events, kept []gitops.Noted) []gitops.Noted {
	type what struct {
		commit           gitops.Hash
		release, outcome string
	}
	known := map[what]bool{}
	for _, e := range events {
		known[what{e.Commit, e.Release, e.Outcome}] = true
	}
	for _, e := range kept {
		if !known[what{e.Commit, e.Release, e.Outcome}] {
			events = append(events, e)
		}
	}
	return events
}

// keptBy are the outcomes a ModelRelease keeps, as notes have them. What has no outcome yet has its phase.
func keptBy(mr *v1alpha1.ModelRelease) (out []gitops.Noted) {
	key := registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}
	for _, o := range slices.Backward(mr.Status.Outcomes) {
		out = append(out, gitops.Noted{Commit: gitops.ParseHash(o.Commit), Event: reconciler.Event(key, o)})
	}
	now := mr.Status.Applied
	if now.Commit != "" && !slices.ContainsFunc(mr.Status.Outcomes, func(o v1alpha1.Outcome) bool { return o.Commit == now.Commit }) {
		e := gitops.Event{At: now.Time.UTC(), Release: key.String(), Outcome: string(mr.Status.Phase), Version: now.Version, Image: now.Image}
		out = append(out, gitops.Noted{Commit: gitops.ParseHash(now.Commit), Event: e})
	}
	return out
}
