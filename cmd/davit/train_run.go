package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

func trainLogsCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "logs RUN|MODEL/NAME",
		Short: "Print what the trainers of a run write, of all nodes",
		Long: "Prints the logs of the run's pods that are still in the cluster; of a training, those of its newest run. Lines of\n" +
			"several nodes begin with the node's rank. With -f it goes on until the run ended, over all its attempts.",
		Example: "  davit train logs iris/finetune -f",
		Args:    cobra.ExactArgs(1),
	}
	follow := c.Flags().BoolP("follow", "f", false, "go on until the run ended")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		config, err := a.rest()
		if err != nil {
			return err
		}
		if *follow {
			config.Timeout = 0 // it would end each log
		}
		target, err := cluster.New(ctx, cluster.Config{REST: config, Decryption: decryption})
		if err != nil {
			return err
		}
		models, _ := a.load(cmd) // it only helps who may not see all namespaces
		run, err := a.liveRun(ctx, target, models, args[0])
		if err != nil {
			return err
		}
		return target.RunLogs(ctx, run.Namespace, run.Name, *follow, func(rank int, container, line string) {
			prefix := ""
			if run.Nodes > 1 {
				prefix = fmt.Sprintf("[%d] ", rank)
			}
			if container == "publisher" {
				prefix += "[publisher] "
			}
			fmt.Fprintln(cmd.OutOrStdout(), prefix+plain(strings.ReplaceAll(line, "\t", "    ")))
		})
	}
	return c
}

func trainCancelCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cancel RUN --reason TEXT",
		Short: "End a run before it ends by itself; its spec is not run again",
		Long: "Records in the ledger that the run is canceled, so that nothing starts it again, and then deletes its objects in\n" +
			"the cluster. davit train again runs the spec once more.",
		Args: cobra.ExactArgs(1),
	}
	reason := c.Flags().String("reason", "", "why; it stands in the ledger")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case strings.TrimSpace(*reason) == "":
			return usage{errors.New("say why: --reason TEXT")}
		case len(*reason) > maxReason:
			return usage{fmt.Errorf("--reason has %d bytes; say it in %d", len(*reason), maxReason)}
		}
		return a.cancelRun(cmd, args[0], *reason)
	}
	return c
}

// cancelRun records first: objects that went before that would be a run that is lost, or made anew.
func (a *app) cancelRun(cmd *cobra.Command, name, reason string) error {
	ctx := cmd.Context()
	source, err := a.source(ctx)
	if err != nil {
		return err
	}
	if _, _, err := a.fetchRuns(ctx); err != nil {
		return fmt.Errorf("fetching the ledger of runs: %w", err)
	}
	models, err := a.load(cmd)
	if err != nil {
		return err
	}
	runs, kept, asked, err := a.allRuns(ctx, models)
	if err != nil {
		return err
	}
	run, err := recorded(runs, name)
	if err != nil {
		if asked != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: what runs the cluster keeps is not known: %s\n", plainLines(asked.Error()))
		}
		return err
	}
	switch {
	case run.State == gitops.RunCanceled:
		fmt.Fprintf(cmd.OutOrStdout(), "%s is canceled already\n", run.Name)
	case run.State.Ended():
		return fmt.Errorf("%s has ended: it is %s; there is nothing to cancel", run.Name, run.State)
	default:
		run.State, run.Reason, run.Ended = gitops.RunCanceled, "ByPerson", time.Now().UTC()
		run.Message = "canceled by " + a.me(ctx) + ": " + strings.TrimSpace(reason)
		record := func() error { return a.recordRun(ctx, source, run, gitops.RunClaimed, gitops.RunStarted) }
		if k, ok := kept[run.Hash]; ok {
			record = func() error { return a.recordKept(ctx, k.namespace, run, gitops.RunClaimed, gitops.RunStarted) }
		}
		if err := record(); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is canceled\n", run.Name)
	}
	if err := a.deleteRun(ctx, run); err != nil {
		return fmt.Errorf("its objects may run on: %w; run this again where the cluster can be reached", err)
	}
	return nil
}

// deleteRun deletes the run's objects, in the cluster that it was claimed for.
func (a *app) deleteRun(ctx context.Context, run gitops.Run) error {
	target, err := a.cluster(ctx)
	if err != nil {
		return err
	}
	uid, err := target.UID(ctx)
	if err == nil && run.Cluster != "" && uid != run.Cluster {
		return errors.New("the kubeconfig's cluster is not the one that the run was started in; pass --context")
	}
	live, err := liveRuns(ctx, target, nil)
	if err != nil {
		return err
	}
	for _, r := range live {
		if r.Name == run.Name && r.Training == run.Training {
			return target.DeleteRun(ctx, r.Namespace, r.Name)
		}
	}
	return nil
}

func trainAgainCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "again MODEL/NAME",
		Short: "Commit what has a training's spec run once more",
		Long: "Raises the attempt in the training's file, which makes another run of the same spec, and commits that on the\n" +
			"branch that is checked out. The run starts when the commit is merged.",
		Example: "  davit train again iris/finetune -m 'the dataset server was down'",
		Args:    cobra.ExactArgs(1),
	}
	why := c.Flags().StringP("message", "m", "", "why; it stands in the commit")
	c.RunE = func(cmd *cobra.Command, args []string) error { return a.trainAgain(cmd, args[0], *why) }
	return c
}

func (a *app) trainAgain(cmd *cobra.Command, key, why string) error {
	ctx := cmd.Context()
	fsys, err := a.tree(ctx, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	tree, ok := fsys.(worktree)
	if !ok || tree.checkout == nil {
		return errors.New("the next attempt is committed, and this is not in a Git repository with a commit; pass -C DIR")
	}
	head := tree.checkout.head
	t, err := trainingAt(head, key)
	if err != nil {
		return err
	}
	name, text, err := registry.WithAttempt(head, key)
	if err != nil {
		return err
	}
	if tree.checkout.isDirty(name) {
		return fmt.Errorf("%s:1: it differs from HEAD; commit it or take it back (git restore %s), and run this again", name, name)
	}
	next, err := trainingAt(head.Edited(name, text), key)
	if err != nil {
		return err
	}
	starts, err := starting(next, head.Edited(name, text))
	if err != nil {
		return err
	}
	starts = "that starts " + starts
	if next.Waits() {
		starts = "it starts at its schedule's next time, " + next.Spec.Schedule.Next(time.Now()).Format(time.RFC3339)
	} else if err := a.tellBeforeAll(cmd, t, head); err != nil {
		return err
	}
	local, err := a.clone(ctx, "")
	if err != nil {
		return err
	}
	commit, err := local.commitFile(ctx, name, text, againMessage(key, why))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "committed %s as %s, attempt %d; now: git push, and merge it where it is not on %s: %s\n",
		name, short(commit), next.Spec.Attempt, local.branch, starts)
	return err
}

func againMessage(key, why string) string {
	message := "Run " + key + " again\n\n"
	if why = strings.TrimSpace(why); why != "" {
		message += why + "\n\n"
	}
	return message + "Davit-Training: " + key + "\n"
}
