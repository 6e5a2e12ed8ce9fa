package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// change is one commit that changed a release.
type change struct {
	Release string    `json:"release"`
	When    time.Time `json:"when"`
	Author  string    `json:"author"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"` // empty: the release was removed
	Outcome string    `json:"outcome,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Commit  string    `json:"commit"`
	Subject string    `json:"subject"`

	position int    // in the walk
	key      string // inputKey
}

func historyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "history [ENV[/RELEASE]]",
		Short: "Show what was, and what came of it",
		Long: "Lists the first-parent commits of the branch that changed a release's version or other inputs, newest\n" +
			"first. Outcomes come from the cluster's ModelReleases, which keep the last five of each release;\n" +
			"without a cluster the history is shown without them.",
		Args: cobra.MaximumNArgs(1),
	}
	format := outputFlag(c, "table", "json", "yaml")
	limit := c.Flags().IntP("limit", "n", 50, "show at most this many changes")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		match, err := selector(args)
		if err != nil {
			return err
		}
		changes, err := a.changes(ctx, match, *limit)
		if err != nil {
			return err
		}
		if releases, err := a.clusterReleases(ctx, args); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: without outcomes: %v\n", err)
		} else {
			addOutcomes(changes, releases)
		}
		header := []any{"RELEASE", "WHEN", "WHO", "CHANGE", "OUTCOME", "COMMIT", "SUBJECT"}
		var rows [][]any
		for _, c := range changes {
			rows = append(rows, []any{
				c.Release, c.When.Format(time.DateTime), c.Author, orDash(c.From) + " → " + orDash(c.To),
				orDash(c.Outcome), short(c.Commit), c.Subject,
			})
		}
		return printData(cmd.OutOrStdout(), *format, changes, header, rows)
	}
	return c
}

// changes walks the first parents and compares each release's inputs from commit to commit.
func (a *app) changes(ctx context.Context, match func(registry.Key) bool, limit int) ([]change, error) {
	source, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	rev := a.rev
	if rev == "" {
		rev = "HEAD"
	}
	tip, err := source.Resolve(ctx, rev)
	if err != nil {
		return nil, err
	}
	newer, err := releasesAt(ctx, source, tip)
	if err != nil {
		return nil, err
	}
	w := &walk{match: match, open: map[registry.Key]change{}}
	err = source.FirstParents(ctx, tip, func(c gitops.Commit, paths []string) (bool, error) {
		older := map[registry.Key]at{}
		if len(c.Parents) > 0 {
			if older = newer; slices.ContainsFunc(paths, ofRegistry) {
				var err error
				if older, err = releasesAt(ctx, source, c.Parents[0]); err != nil {
					return false, err
				}
			}
		}
		w.step(c, older, newer)
		newer = older
		return len(w.out) < limit, nil
	})
	slices.SortStableFunc(w.out, func(a, b change) int { return a.position - b.position })
	return w.out[:min(len(w.out), limit)], err
}

// walk collects changes, newest first.
type walk struct {
	match    func(registry.Key) bool
	position int
	out      []change
	// open holds, for releases that are broken further back, the change that mended them: what it changed
	// from is told by the last sound commit before.
	open map[registry.Key]change
}

// step compares the releases before and after a commit.
func (w *walk) step(c gitops.Commit, older, newer map[registry.Key]at) {
	w.position++
	for _, key := range changedKeys(older, newer, w.open) {
		if !w.match(key) {
			continue
		}
		o, n := older[key], newer[key]
		mended, waiting := w.open[key]
		this := change{
			Release: key.String(), When: c.Committer.When, Author: c.Author.Name, To: n.version,
			Commit: c.Hash.String(), Subject: c.Subject, position: w.position, key: n.key,
		}
		switch {
		case o.broken && !n.broken && !waiting:
			w.open[key] = this
			continue
		case o.broken:
			continue
		case waiting:
			this = mended
			delete(w.open, key)
		case n.broken:
			continue // still broken at the tip
		}
		if this.key != o.key || this.To != o.version {
			this.From = o.version
			w.out = append(w.out, this)
		}
	}
}

// ofRegistry says whether a path can change a release.
func ofRegistry(path string) bool {
	top, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{"davit.yaml", "environments", "runtimes", "accelerators", "models", "releases", "teams"}, top)
}

// at is a release at a commit; of a broken one nothing is known.
type at struct {
	version, key string
	broken       bool
}

func releasesAt(ctx context.Context, source *gitops.Source, h gitops.Hash) (map[registry.Key]at, error) {
	snapshot, err := source.Snapshot(ctx, h)
	if err != nil {
		return nil, err
	}
	out := map[registry.Key]at{}
	models, err := registry.Load(snapshot)
	if errors.Is(err, registry.ErrNoRegistry) {
		return out, nil // the commit is from before it
	}
	if err != nil {
		return nil, err
	}
	for _, r := range models.Releases {
		key, err := r.InputKey(snapshot)
		if err != nil {
			return nil, err
		}
		out[r.Key()] = at{version: r.ModelVersion.Name, key: key}
	}
	for key := range models.Broken {
		out[key] = at{broken: true}
	}
	return out, nil
}

// changedKeys are the releases that differ, and those that wait for a sound commit, in order.
func changedKeys(older, newer map[registry.Key]at, open map[registry.Key]change) (keys []registry.Key) {
	for key, n := range newer {
		if _, waiting := open[key]; older[key] != n || waiting {
			keys = append(keys, key)
		}
	}
	for key := range older {
		if _, ok := newer[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b registry.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// addOutcomes joins what the cluster says of a commit; where one commit has several, the last came last.
func addOutcomes(changes []change, releases []*v1alpha1.ModelRelease) {
	for i, c := range changes {
		for _, mr := range releases {
			if mr.Spec.Environment+"/"+mr.Spec.Release != c.Release {
				continue
			}
			at := slices.IndexFunc(mr.Status.Outcomes, func(o v1alpha1.Outcome) bool { return o.Commit == c.Commit && o.Outcome != v1alpha1.RolledBack })
			switch {
			case at >= 0:
				changes[i].Outcome, changes[i].Reason = string(mr.Status.Outcomes[at].Outcome), mr.Status.Outcomes[at].Reason
			case mr.Status.Applied.Commit == c.Commit:
				changes[i].Outcome = string(mr.Status.Phase)
			}
			if held := mr.Status.Held; held != nil && held.Commit == c.Commit && mr.Status.Phase == v1alpha1.RolledBack {
				changes[i].Outcome = "Failed, rolled back"
			}
		}
	}
}
