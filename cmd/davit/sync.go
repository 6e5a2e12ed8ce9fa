package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// syncOptions are the flags of sync.
type syncOptions struct {
	once     bool
	repo     string
	branch   string
	ref      refOptions
	takeOver bool
	adopt    bool
	only     []string
	rewrite  bool
	interval time.Duration
	timeout  time.Duration
	writes   writeOptions
	observe  observeOptions
	forge    forgeOptions
	git      gitOptions
	metrics  prometheusOptions
	page     uiOptions
}

func syncCommand(a *app) *cobra.Command {
	o := &syncOptions{}
	c := &cobra.Command{
		Use:   "sync",
		Short: "Bring the commits of a branch to the cluster, and keep following",
		Long: "Follows the commits of a branch, never the worktree: builds missing model images, renders, applies,\n" +
			"watches health, and takes a failed release back to its last healthy revision. The rights are those of\n" +
			"the kubeconfig. Ends with Ctrl-C, or with --once when every release is settled and every\n" +
			"training that the tip asks for has begun, or said why not.",
	}
	a.signs(c)
	f := c.Flags()
	f.BoolVar(&o.once, "once", false, "take the branch's tip to the end and stop; exits 1 when a release failed; trainings are begun, their end is not waited for")
	f.StringVar(&o.repo, "repo", "", "follow the repository at this URL instead of the local one")
	f.StringVar(&o.branch, "branch", "", "branch to follow (default: HEAD's)")
	o.ref.flags(c)
	f.BoolVar(&o.takeOver, "take-over", false, "take releases that another registry or controller owns")
	f.BoolVar(&o.adopt, "adopt", false, "take over objects that kubectl, Helm, Argo CD, Flux or others made")
	f.StringSliceVar(&o.only, "environments", nil, "work on these environments only; the others are another's")
	f.BoolVar(&o.rewrite, "accept-rewrite", false, "apply commits older than those applied last, after a forced push or a reset")
	f.DurationVar(&o.interval, "interval", 10*time.Second, "how often the refs of a --repo URL are checked")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "with --once: give up after this time")
	o.writes.flags(f)
	o.observe.flags(f, "")
	o.forge.flags(f)
	o.git.flags(f)
	o.metrics.flags(f)
	o.page.flags(f)
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.sync(cmd, o) }
	return c
}

func (a *app) sync(cmd *cobra.Command, o *syncOptions) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	log, err := o.observe.log(stderr)
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log) // client-go tells of lost watches there
	config, err := a.follow()
	if err != nil {
		return err
	}
	watched, stop, err := o.observe.observe(ctx, log)
	if err != nil {
		return err
	}
	defer stop()
	defer watched.lead()()
	recorder := watched.metrics.Registry("sync")
	recorder.Every(o.interval)
	gitConfig := gitops.Config{URL: a.dir, Branch: o.branch, Interval: o.interval, Log: log, Looked: recorder.Looked}
	if o.repo != "" {
		if gitConfig.Mirror, err = mirrorOf(o.repo); err != nil {
			return err
		}
		gitConfig.URL = o.repo
	}
	if err := errors.Join(a.place(o, &gitConfig), o.git.apply(o.repo, &gitConfig)); err != nil {
		return err
	}
	source, err := gitops.Open(ctx, gitConfig)
	if err != nil {
		return err
	}
	defer o.git.follow(ctx, source)()
	owner := ownerOf(source, o.repo)
	target, err := cluster.New(ctx, cluster.Config{
		REST: watched.count(config), Log: log, Owner: owner, TakeOver: o.takeOver, Adopt: o.adopt, Decryption: decryption,
	})
	if err != nil {
		return err
	}
	builder, err := a.images(onTerminal(stderr), log)
	if err != nil {
		return err
	}
	out := &reporter{w: cmd.OutOrStdout()}
	loopConfig := reconciler.Config{
		Source: source, Cluster: target, Images: builder, Owner: owner, Only: o.only, AcceptRewrite: o.rewrite, Log: log, Report: out.report,
		Metrics: recorder, Tracer: watched.tracer,
	}
	if err := o.writes.apply(source, log, &loopConfig); err != nil {
		return err
	}
	if loopConfig.Forge, err = o.forge.by(o.repo, source.HTTP()); err != nil {
		return err
	}
	if err := o.metrics.apply(&loopConfig); err != nil {
		return err
	}
	a.forgePages(ctx, o, &loopConfig)
	loop, err := reconciler.New(loopConfig)
	if err != nil {
		return err
	}
	shown, unshow, err := o.page.serve(ctx, a.me(ctx), nil, log)
	if err != nil {
		return err
	}
	defer unshow()
	if follow := shown.following(); follow != nil {
		defer follow(ctx, registryName(owner), loop)()
	}
	if !o.once {
		fmt.Fprintf(stderr, "davit: following %s of %s\n", source.Following(), owner)
		return uninstalled(loop.Run(ctx))
	}
	return once(cmd, loop, o.timeout)
}

// reporter prints one line per change of a release.
type reporter struct {
	mu sync.Mutex
	w  io.Writer
}

func (r *reporter) report(p reconciler.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.Key.String()
	line := fmt.Sprintf("%s  %-24s %-8s %-12s %s", time.Now().Format(time.TimeOnly), key, orDash(p.Version), p.Phase, short(p.Commit))
	if p.Phase != v1alpha1.Progressing {
		line += fmt.Sprintf("  after %s", p.Took.Round(10*time.Millisecond))
	}
	if p.Uploaded > 0 {
		line += fmt.Sprintf("  (image built, %d bytes uploaded)", p.Uploaded)
	}
	if p.Message != "" {
		line += "  " + p.Message
	}
	fmt.Fprintln(r.w, plainLines(line))
}

// ownerOf names the registry in the cluster: its URL without credentials, or its path, and its folder in that. A path is
// the same one however it was given: "." is another registry in another folder.
func ownerOf(source *gitops.Source, repo string) string {
	name := source.Path()
	if name == "" {
		name = gitops.Redact(repo)
	}
	if folder := source.Folder(); folder != "" {
		name += "//" + folder // as Kustomize writes a folder of a repository
	}
	return name
}

// mirrorOf is the folder of a remote registry's mirror in the user's cache.
func mirrorOf(url string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder for the mirror: %w; set HOME or XDG_CACHE_HOME", err)
	}
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(cache, "davit", "mirrors", hex.EncodeToString(sum[:8])), nil
}
