package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// tryOptions are the flags of davit try.
type tryOptions struct {
	length, timeout  time.Duration
	namespace        string
	wait, full, list bool
	remove           string
}

func tryCommand(a *app) *cobra.Command {
	o := &tryOptions{}
	c := &cobra.Command{
		Use:   "try ENV/RELEASE | --list | --delete NAME",
		Short: "Run a release as the worktree has it, in a namespace of its own, for a time",
		Long: "Builds the model's image if it is missing, renders the release as it lies in the worktree, committed or not, and\n" +
			"applies it as the kubeconfig's user into the namespace try-YOU-RELEASE, which ends by itself. What would reach\n" +
			"production's users is left out: routes. It runs with one replica, unless --full. It is no release: no gate holds\n" +
			"it back, nothing follows it, davit status does not show it. Trying again renews it.\n\n" +
			"Whoever calls davit try, and every running davit sync and controller that may, deletes the tries whose time is over.",
		Example: "  davit try staging/iris --for 1h\n  davit try --list\n  davit try --delete try-ada-iris",
		Args:    cobra.MaximumNArgs(1),
	}
	f := c.Flags()
	a.signs(c)
	f.DurationVar(&o.length, "for", 2*time.Hour, "how long it lasts")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "how long to wait for it")
	f.StringVar(&o.namespace, "namespace", "", "its namespace (default: try-YOU-RELEASE)")
	f.BoolVar(&o.wait, "wait", true, "wait until it is ready")
	f.BoolVar(&o.full, "full", false, "keep its replicas, autoscaler and disruption budget")
	f.BoolVar(&o.list, "list", false, "list the tries of the cluster")
	f.StringVar(&o.remove, "delete", "", "end a try of yours now")
	c.MarkFlagsMutuallyExclusive("list", "delete")
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch other := o.list || o.remove != ""; {
		case other == (len(args) == 1):
			return usage{fmt.Errorf("say one of: a release, --list, --delete NAME; usage: %s", cmd.UseLine())}
		case o.length <= 0:
			return usage{fmt.Errorf("--for %s is no time to come", o.length)}
		}
		return a.try(cmd, args, o, *format)
	}
	return c
}

func (a *app) try(cmd *cobra.Command, args []string, o *tryOptions, format string) error {
	target, err := a.cluster(cmd.Context())
	if err != nil {
		return err
	}
	if o.remove == "" { // what is asked to be ended is told as such
		endTries(cmd, target)
	}
	me := a.me(cmd.Context())
	switch {
	case o.remove != "":
		if err := target.DeleteTry(cmd.Context(), o.remove, me); err != nil {
			return fmt.Errorf("%w; davit try --list shows those there are", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is being deleted\n", o.remove)
		return nil
	case o.list:
		return listTries(cmd, target, format)
	}
	t, err := a.trial(cmd, args[0], me, o)
	if err != nil {
		return err
	}
	return t.run(cmd)
}

// endTries ends those whose time is over, as far as this user may.
func endTries(cmd *cobra.Command, target *cluster.Cluster) {
	ended, _, err := target.EndTries(cmd.Context(), time.Now())
	for _, name := range ended {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: the time of %s is over; it is being deleted\n", name)
	}
	if err != nil && !apierrors.IsForbidden(err) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: tries are not ended: %s\n", plainLines(err.Error()))
	}
}

func listTries(cmd *cobra.Command, target *cluster.Cluster, format string) error {
	tries, err := target.Tries(cmd.Context())
	if err != nil {
		return err
	}
	if len(tries) == 0 && format == "table" {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: nothing is being tried; davit try ENV/RELEASE does")
		return nil
	}
	var rows [][]any
	for _, t := range tries {
		rows = append(rows, []any{t.Namespace, t.Release, t.Commit, t.By, "in " + length(time.Until(t.Until))})
	}
	if tries == nil {
		tries = []cluster.Try{}
	}
	return printData(cmd.OutOrStdout(), format, tries, []any{"NAMESPACE", "RELEASE", "COMMIT", "BY", "ENDS"}, rows)
}

var noLabel = regexp.MustCompile(`[^a-z0-9]+`)

// tryNamespace is try-<user>-<release>, as long as a namespace's name may be.
func tryNamespace(user, release string) string {
	const most = 63
	name := strings.Trim(noLabel.ReplaceAllString(strings.ToLower(user), "-"), "-")
	if room := most - len("try--") - len(release); len(name) > room {
		name = strings.TrimRight(name[:max(room, 0)], "-")
	}
	if name == "" {
		return "try-" + release
	}
	return "try-" + name + "-" + release
}

// triedAt is the commit that is tried, and "+" where the worktree differs from it.
func (a *app) triedAt(ctx context.Context) string {
	source, err := a.source(ctx)
	if err != nil {
		return "no commit"
	}
	rev := a.rev
	if rev == "" {
		rev = "HEAD"
	}
	hash, err := source.Resolve(ctx, rev)
	if err != nil {
		return "no commit"
	}
	text := short(hash.String())
	if files, err := source.Dirty(ctx); a.rev == "" && err == nil && len(files) > 0 {
		text += " and " + counted(len(files), "changed file")
	}
	return text
}
