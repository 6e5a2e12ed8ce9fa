package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func suspendCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "suspend ENV[/RELEASE]",
		Short: "Leave releases as they are: nothing is applied, corrected, rolled back or deleted",
		Args:  cobra.ExactArgs(1),
	}
	length := c.Flags().Duration("for", 0, "end by itself after this time, such as 4h")
	reason := c.Flags().String("reason", "", "why, for whoever wonders")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		stop := v1alpha1.Suspend{By: a.me(cmd.Context()), Reason: *reason}
		text := "suspended"
		if *length > 0 {
			until := metav1.NewTime(time.Now().Add(*length).Truncate(time.Second))
			stop.Until = &until
			text += " until " + until.Local().Format(time.DateTime)
		}
		return a.ask(cmd, args, text, func(spec *v1alpha1.ModelReleaseSpec) { spec.Suspend = &stop })
	}
	return c
}

func resumeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume ENV[/RELEASE]",
		Short: "End a suspension, a hold and a pin: what the branch asks for is applied",
		Args:  cobra.ExactArgs(1),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.ask(cmd, args, "resumed", func(spec *v1alpha1.ModelReleaseSpec) {
			spec.Suspend, spec.Pin = nil, nil
			spec.Request = a.request(cmd.Context(), v1alpha1.Resume)
		})
	}
	return c
}

func retryCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "retry ENV[/RELEASE]",
		Short: "Render and apply what the branch asks for again, now; a held revision too",
		Args:  cobra.ExactArgs(1),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.ask(cmd, args, "asked for", func(spec *v1alpha1.ModelReleaseSpec) { spec.Request = a.request(cmd.Context(), v1alpha1.Retry) })
	}
	return c
}

func (a *app) request(ctx context.Context, action v1alpha1.Action) *v1alpha1.Request {
	return &v1alpha1.Request{Action: action, At: metav1.NowMicro(), By: a.me(ctx)}
}

// ask changes the spec of the selected releases in the cluster, where their controller sees it at once.
func (a *app) ask(cmd *cobra.Command, args []string, done string, change func(*v1alpha1.ModelReleaseSpec)) error {
	releases, err := a.clusterReleases(cmd.Context(), args)
	if err != nil {
		return err
	}
	if len(releases) == 0 {
		return fmt.Errorf("no release %q in the cluster; davit status lists those there are", args[0])
	}
	target, err := a.cluster(cmd.Context())
	if err != nil {
		return err
	}
	var errs []error
	for _, mr := range releases {
		if err := target.Ask(cmd.Context(), mr, change); err != nil {
			errs = append(errs, err)
			continue
		}
		text := done
		if after := mr.Spec.DeepCopy(); mr.Spec.Pin != nil {
			if change(after); after.Pin == nil {
				text += ", no longer pinned to " + cmp.Or(mr.Spec.Pin.Version, short(mr.Spec.Pin.Commit))
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s/%s %s\n", mr.Spec.Environment, mr.Spec.Release, text)
	}
	return errors.Join(errs...)
}

// me is the person at the keyboard, by the name their commits have.
func (a *app) me(ctx context.Context) string {
	if name, err := (&clone{dir: a.dir}).git(ctx, "config", "user.name"); err == nil && name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// cluster is the kubeconfig's, to read and to ask.
func (a *app) cluster(ctx context.Context) (*cluster.Cluster, error) {
	config, err := a.rest()
	if err != nil {
		return nil, err
	}
	return cluster.New(ctx, cluster.Config{REST: config, Decryption: decryption})
}
