package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/registry"
)

// promoteOptions are the flags of promote.
type promoteOptions struct {
	version, reason, branch string
	pr, noPR, dryRun        bool
	forge                   forgeOptions
}

func promoteCommand(a *app) *cobra.Command {
	o := &promoteOptions{}
	c := &cobra.Command{
		Use:   "promote ENV/RELEASE TO_ENV",
		Short: "Propose a release's version for another environment: one line on a branch, with the plan",
		Long: "Takes the version that a release has in one environment, as the followed branch has it now, and writes it\n" +
			"into the release's file in another one, on the branch davit/promote/TO_ENV/RELEASE: that line alone, or a\n" +
			"new file where there is none. The branch is pushed, and a pull request opened with the plan where there is\n" +
			"a token for the forge. Gates that are closed are told of and stop nothing: approvals come on the branch.\n" +
			"The worktree is neither read nor written.",
		Example: "  davit promote staging/iris production\n  davit promote staging/iris production --version v2 --reason 'the better one'",
		Args:    cobra.ExactArgs(2),
	}
	f := c.Flags()
	f.StringVar(&o.version, "version", "", "promote this version (default: the one that ENV has)")
	f.StringVar(&o.reason, "reason", "", "why; it stands in the commit")
	f.StringVar(&o.branch, "branch", "", "the branch that is followed (default: the remote's HEAD, or the one checked out)")
	f.BoolVar(&o.pr, "pr", false, "fail where no pull request can be opened")
	f.BoolVar(&o.noPR, "no-pr", false, "open no pull request")
	f.BoolVar(&o.dryRun, "dry-run", false, "only print the plan")
	o.forge.flags(f)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		from, err := registry.ParseKey(args[0])
		switch {
		case err != nil:
			return usage{err}
		case from.Environment == args[1]:
			return usage{fmt.Errorf("%s is promoted from %s to itself; name another environment", from, args[1])}
		case a.rev != "":
			return usage{errors.New("a promotion goes on the followed branch, as it is now; name that with --branch, and a version with --version, instead of --rev")}
		case o.pr && o.noPR:
			return usage{errors.New("--pr and --no-pr exclude each other")}
		case len(o.reason) > maxReason:
			return usage{fmt.Errorf("--reason has %d bytes; say it in %d", len(o.reason), maxReason)}
		}
		return a.promote(cmd, from, registry.Key{Environment: args[1], Name: from.Name}, o)
	}
	return c
}

// promotion is one that is decided on.
type promotion struct {
	*reconciler.Promotion
	plan *plan.Plan
}

func (a *app) promote(cmd *cobra.Command, from, to registry.Key, o *promoteOptions) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	local, err := a.clone(ctx, o.branch)
	if err != nil {
		return err
	}
	tip, err := local.fetch(ctx)
	if err != nil {
		return err
	}
	source, err := a.source(ctx)
	if err != nil {
		return err
	}
	snapshot, err := source.Snapshot(ctx, gitops.ParseHash(tip))
	if err != nil {
		return err
	}
	models, err := registry.Load(snapshot)
	if err != nil {
		return fmt.Errorf("reading the registry at %.12s: %w", tip, err)
	}
	p := &promotion{}
	if p.Promotion, err = reconciler.NewPromotion(snapshot, models, from, to, o.version); err != nil {
		return err
	}
	message := p.Message(strings.TrimSpace(o.reason))
	commit, err := local.commit(ctx, tip, message, []gitops.FileChange{p.File}) // on no branch yet
	if err != nil {
		return err
	}
	if err := p.look(ctx, source, models, gitops.ParseHash(commit)); err != nil {
		return err
	}
	if err := p.plan.Text(out); err != nil || o.dryRun {
		return err
	}
	p.closed(out)
	branch := reconciler.PromotionBranch(to)
	if err := local.publish(ctx, branch, commit, local.earlierPromotion(tip)); err != nil {
		return err
	}
	var meaning strings.Builder
	if err := p.plan.Markdown(&meaning); err != nil {
		return err
	}
	return o.forge.open(ctx, out, local, branched{
		name: branch, what: "the promotion", text: message + "\n" + meaning.String(), request: o.pr, noRequest: o.noPR,
	})
}

// look makes the plan of the commit, and refuses one that leaves the release with a fault.
func (p *promotion) look(ctx context.Context, source *gitops.Source, models *registry.Registry, commit gitops.Hash) error {
	snapshot, err := source.Snapshot(ctx, commit)
	if err != nil {
		return err
	}
	after, err := models.Update(snapshot, []string{p.File.Path})
	if err != nil {
		return err
	}
	if faults := after.Broken[p.To]; len(faults) > 0 {
		return fmt.Errorf("%s would have a fault at %s: %s", p.To, p.Version, faults[0])
	}
	p.plan, err = plan.New(models, after, plan.Options{
		Match: func(key registry.Key) bool { return key == p.To }, Facts: status.Facts(ctx, source, models, after), Now: time.Now(),
	})
	return err
}

// closed tells of the gates that keep the release from being applied when it is merged now.
func (p *promotion) closed(out io.Writer) {
	if p.plan.Closed() {
		fmt.Fprintf(out, "merged now, it waits for its gates; who may approve does so by: davit approve %s@%s --as ROLE\n", p.To, p.Version.Name)
	}
}
