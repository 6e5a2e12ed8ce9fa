package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
	"github.com/davit-dev/davit/render"
)

// planOptions are the flags of plan.
type planOptions struct {
	base         string
	server, live bool
	images       bool
	format       *string
	comment      commentOptions
}

func planCommand(a *app) *cobra.Command {
	o := &planOptions{}
	c := &cobra.Command{
		Use:   "plan [ENV[/RELEASE]]",
		Short: "Show what the worktree, or --rev, changes against a base revision",
		Long: "Tells what a change means: which releases get which version with which metrics, which fields of which objects\n" +
			"differ, which trainings start, and what gates, quotas, freezes and the other policies say to it, what blocks\n" +
			"first. It compares with the newest commit that --base and what is looked at have in common, as a pull request\n" +
			"does: what others merged meanwhile is no change. Needs no credentials and fetches nothing: model images stand as\n" +
			"a placeholder digest. Exits 3 when there are changes, also where a gate fails: that is validate's to refuse.\n\n" +
			"--comment 12 sets the one comment of davit's on pull request 12, with a token in " + forgeToken + ". A workflow that runs\n" +
			"on pull requests from forks has no token, so there one job writes davit plan -o markdown > plan.md, and another one,\n" +
			"with a token and without a checkout, posts it: davit plan --comment 12 --comment-from plan.md --repository URL.\n" +
			"Take the number from the event there, and not from what the first job wrote.\n\n" +
			"With --server the cluster of the kubeconfig's context is asked: whether it has the devices, nodes and room\n" +
			"that the releases ask for, which of their pods would wait, and whether it serves what the environments\n" +
			"declare; exits 1 when it does not. With --live its API server also dry-runs the changed objects, and each field\n" +
			"is told that would differ from what runs, also of releases that only this davit renders otherwise than\n" +
			"the one that applied them: what upgrading the controller to it would roll. Where an environment or a release is\n" +
			"named, that goes for what the cluster does not have yet, too; and of an object that another tool applied each\n" +
			"field is told that davit sync --adopt would change. All selected environments are held against that one cluster,\n" +
			"so name one where each has its own: davit plan production --server --context production.\n" +
			"Places are found for the largest pods first, each on the first node with room. Priorities, quotas, queues,\n" +
			"volumes, affinity between pods and spread over zones are not looked at.",
		Args: cobra.MaximumNArgs(1),
	}
	f := c.Flags()
	f.StringVar(&o.base, "base", "HEAD", "the revision to compare with, from where what is looked at left it")
	f.BoolVar(&o.images, "images", false, "ask the OCI registry whether images are built, and signed where that is wanted")
	f.BoolVar(&o.server, "server", false, "ask the cluster whether it has what the releases ask for")
	f.BoolVar(&o.live, "live", false, "with --server: what the API server says to the changed objects, against what runs")
	o.comment.flags(f)
	o.format = outputFlag(c, "text", "json", "markdown")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.comment.check(args); err != nil {
			return err
		}
		if o.live && !o.server {
			return usage{fmt.Errorf("--live asks the cluster; add --server")}
		}
		if o.comment.from != "" {
			return o.comment.repost(cmd)
		}
		return a.plan(cmd, args, o)
	}
	return c
}

func (a *app) plan(cmd *cobra.Command, args []string, o *planOptions) error {
	ctx := cmd.Context()
	match, err := selector(args)
	if err != nil {
		return err
	}
	after, err := a.load(cmd)
	if err != nil {
		return err
	}
	before, err := a.base(cmd, o.base)
	if err != nil {
		return err
	}
	if err := among(before, after, args); err != nil {
		return err
	}
	source, err := a.source(ctx)
	if err != nil {
		return err
	}
	renderer := &render.Renderer{}
	opts := plan.Options{Match: match, Facts: status.Facts(ctx, source, before, after), Built: a.built(ctx), Now: time.Now(), Renderer: renderer}
	var asked *imagesAsked
	if o.images {
		if asked, err = a.askImages(after); err != nil {
			return err
		}
		opts.Built = func(v *registry.ModelVersion) (string, bool) { return asked.built(ctx, v) }
		opts.Signed = func(r *registry.Release) (gate.State, string) { return asked.signed(ctx, r) }
	}
	p, err := plan.New(before, after, opts)
	if err == nil && asked != nil {
		err = asked.err()
	}
	if err != nil {
		return err
	}
	v := &planView{Plan: p}
	if *o.format == "text" { // as soon as it is known
		if err := p.Text(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	if o.server {
		if v.Capacity, err = a.capacity(ctx, before, after, match); err != nil {
			return err
		}
	}
	if o.live {
		if v.Live, err = a.live(ctx, renderer, after, p, args); err != nil {
			return err
		}
	}
	if err := v.print(cmd.OutOrStdout(), *o.format); err != nil {
		return err
	}
	if o.comment.number > 0 {
		if err := a.comment(cmd, &o.comment, v); err != nil {
			return err
		}
	}
	return v.exit(cmd.ErrOrStderr())
}

// planView is a plan, and what the cluster has to say to it.
type planView struct {
	*plan.Plan
	Capacity []environmentCapacity `json:"capacity,omitempty"`
	Live     []liveRelease         `json:"live,omitempty"`
}

// print writes what Text has not.
func (v *planView) print(out io.Writer, format string) error {
	switch format {
	case "json":
		return printData(out, format, v, nil, nil)
	case "markdown":
		return v.markdown(out)
	}
	if err := printLive(out, v.Live); err != nil {
		return err
	}
	return printCapacity(out, v.Capacity)
}

// maxServer is how many bytes of a comment are for what the cluster says.
const maxServer = 10_000

func (v *planView) markdown(out io.Writer) error {
	if v.Capacity == nil && v.Live == nil {
		return v.Plan.Markdown(out)
	}
	if err := v.Plan.MarkdownWithin(out, plan.MaxMarkdown-maxServer); err != nil {
		return err
	}
	var text strings.Builder
	if err := v.print(&text, "text"); err != nil {
		return err
	}
	return plan.Block(out, "What the cluster says", text.String(), maxServer)
}

// exit says what the cluster lacks.
func (v *planView) exit(stderr io.Writer) error {
	lacks := false
	for _, c := range v.Capacity {
		for _, f := range c.Missing {
			fmt.Fprintln(stderr, plainLines(f.String()))
			lacks = true
		}
	}
	switch {
	case lacks:
		return exit(exitFailed)
	case v.Changes(), slices.ContainsFunc(v.Live, func(r liveRelease) bool { return len(r.Objects) > 0 || r.Error != "" }):
		return exit(exitChanges)
	}
	return nil
}

// built finds the digests of model images in the outcomes that are in this clone. Of a version that no outcome tells of
// nothing is known: it may have been built by hand.
func (a *app) built(ctx context.Context) func(*registry.ModelVersion) (string, bool) {
	digests := sync.OnceValue(func() map[string]string {
		source, err := a.source(ctx)
		if err != nil {
			return nil
		}
		events, err := source.Events(ctx, nil)
		if err != nil {
			return nil // a plan goes without
		}
		return imagesOf(events)
	})
	return func(v *registry.ModelVersion) (string, bool) {
		digest, known := digests()[v.String()]
		return digest, known
	}
}

// imagesOf are the digests of the images that outcomes tell, by MODEL@VERSION.
func imagesOf(events []gitops.Noted) map[string]string {
	out := map[string]string{}
	for _, e := range events {
		if repository, digest, ok := strings.Cut(e.Image, "@"); ok && e.Version != "" {
			out[path.Base(repository)+"@"+e.Version] = digest
		}
	}
	return out
}
