package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
)

// historyFlags are those of davit history.
type historyFlags struct {
	format           *string
	limit            int
	model, signers   string
	since, until, at when
	cluster          bool
}

func historyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "history [ENV[/RELEASE]]",
		Short: "Show what was, by whom, and what came of it",
		Long: "Lists the first-parent commits of the branch that changed a release's version or other inputs, newest first.\n" +
			"Outcomes come from the notes in Git (refs/notes/davit, or the branch davit/outcome in a clone); where there are none,\n" +
			"from the cluster's ModelReleases, which keep the last five of each release. With --at it tells what served at a time.\n\n" +
			"A TIME is 2026-03-31, \"2026-03-31 23:59\" or 2026-03-31T23:59:00Z, or 12h or 30d for that long ago. A day without a\n" +
			"time is its beginning for --since and its end otherwise.",
		Example: "  davit history production/iris\n  davit history --model iris --since 30d -o csv\n  davit history production --at '2026-03-31 23:59'",
		Args:    cobra.MaximumNArgs(1),
	}
	f := historyFlags{format: outputFlag(c, "table", "json", "yaml", "csv"), until: when{late: true}, at: when{late: true}}
	flags := c.Flags()
	flags.IntVarP(&f.limit, "limit", "n", 50, "show at most this many changes; 0 for all")
	flags.StringVar(&f.model, "model", "", "only releases of this model")
	flags.Var(&f.since, "since", "only changes from this time on")
	flags.Var(&f.until, "until", "only changes up to this time")
	flags.Var(&f.at, "at", "show what served at this time")
	flags.StringVar(&f.signers, "signers", "", "allowed signers file to verify commits with (default: gpg.ssh.allowedSignersFile of Git's configuration)")
	flags.BoolVar(&f.cluster, "cluster", false, "ask the cluster for outcomes, too, when there are notes")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case f.limit < 0:
			return usage{errors.New("-n must not be negative; 0 shows all")}
		case flags.Changed("at") && (flags.Changed("since") || flags.Changed("until") || flags.Changed("limit")):
			return usage{errors.New("--at is one time; leave out --since, --until and -n")}
		}
		past, err := a.past(cmd, args, &f)
		if err != nil {
			return err
		}
		if !f.at.IsZero() {
			return past.served(cmd, f.at.Time, *f.format)
		}
		return past.changes(cmd, *f.format)
	}
	return c
}

// past is what the command asks, of whom.
type past struct {
	*history.History
	source  *gitops.Source
	tip     gitops.Hash
	filter  history.Filter
	signers *gitops.Signers
}

func (a *app) past(cmd *cobra.Command, args []string, f *historyFlags) (*past, error) {
	ctx := cmd.Context()
	p := &past{filter: history.Filter{Model: f.model, Since: f.since.Time, Until: f.until.Time, Limit: f.limit}}
	if _, err := selector(args); err != nil {
		return nil, err
	}
	if len(args) > 0 {
		p.filter.Environment, p.filter.Release, _ = strings.Cut(args[0], "/")
	}
	var err error
	if p.source, err = a.source(ctx); err != nil {
		return nil, err
	}
	rev := a.rev
	if rev == "" {
		rev = "HEAD"
	}
	if p.tip, err = p.source.Resolve(ctx, rev); err != nil {
		return nil, err
	}
	if p.signers, err = signersOf(cmd, p.source, f.signers); err != nil {
		return nil, err
	}
	events, err := a.outcomes(cmd, args, p.source, f.cluster)
	if err != nil {
		return nil, err
	}
	p.History = history.New(history.Config{Source: p.source, Events: events, Slow: func(commits int) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: reading %d commits; from then on only new ones\n", commits)
	}})
	return p, p.saysCut(ctx, cmd)
}

// saysCut tells of a shallow clone.
func (p *past) saysCut(ctx context.Context, cmd *cobra.Command) error {
	cut, err := p.Cut(ctx, p.tip)
	if err == nil && cut != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: the clone is shallow and ends at %s; git fetch --unshallow brings what was before\n", short(cut))
	}
	return err
}

// signersOf reads the file, or the one that Git's own configuration names; without either there are none.
func signersOf(cmd *cobra.Command, source *gitops.Source, file string) (*gitops.Signers, error) {
	if file != "" {
		return readSigners(file)
	}
	file, err := source.SignersFile()
	if err != nil || file == "" {
		return nil, err
	}
	signers, err := readSigners(file)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: no signature is verified: gpg.ssh.allowedSignersFile: %v\n", err)
		return nil, nil
	}
	return signers, nil
}

func readSigners(file string) (*gitops.Signers, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signers, err := gitops.ParseSigners(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signers, nil
}

// changes prints the revisions.
func (p *past) changes(cmd *cobra.Command, format string) error {
	ctx := cmd.Context()
	limit := p.filter.Limit
	if limit > 0 {
		p.filter.Limit++ // to see whether there are more
	}
	revisions, err := p.Revisions(ctx, p.tip, p.filter)
	if err != nil {
		return err
	}
	if limit > 0 && len(revisions) > limit {
		revisions = revisions[:limit]
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: the newest %d; -n 0 shows all\n", limit)
	}
	list := make([]change, len(revisions))
	for i := range revisions {
		if list[i], err = p.change(ctx, &revisions[i]); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: nothing changed%s\n", filtered(p.filter))
	}
	return printChanges(cmd.OutOrStdout(), format, list, p.signers != nil)
}

// filtered says of what there is nothing.
func filtered(f history.Filter) (text string) {
	switch {
	case f.Release != "":
		text = " " + registry.Key{Environment: f.Environment, Name: f.Release}.String()
	case f.Environment != "":
		text = " in environment " + f.Environment
	}
	if f.Model != "" {
		text += " of model " + f.Model
	}
	if !f.Since.IsZero() || !f.Until.IsZero() {
		text += " in that time"
	}
	return text + "; davit history shows what there is"
}
