package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
)

func trainVersionCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "version RUN [--version NAME]",
		Short: "Write the version that a run made into the worktree, to be committed",
		Long: "Writes models/<model>/versions/<version>.yaml for a run that succeeded, from what it left in the OCI registry: what\n" +
			"davit proposes by itself where it may write to Git. Nothing is committed, and no file is overwritten.",
		Example: "  davit train version finetune-1a2b3c4d",
		Args:    cobra.ExactArgs(1),
	}
	name := c.Flags().String("version", "", "the version's name (default: by the training's spec)")
	c.RunE = func(cmd *cobra.Command, args []string) error { return a.trainVersion(cmd, args[0], *name) }
	return c
}

func (a *app) trainVersion(cmd *cobra.Command, arg, version string) error {
	ctx := cmd.Context()
	if a.rev != "" {
		return usage{errors.New("a version is written into the worktree; leave out --rev")}
	}
	models, err := a.load(cmd)
	if err != nil {
		return err
	}
	run, err := a.succeeded(cmd, models, arg)
	if err != nil {
		return err
	}
	m := made.Made{Run: run}
	if m.Training, err = a.trainingOfRun(ctx, models, run); err != nil {
		return err
	}
	model := models.Models[m.Training.Model]
	if model == nil {
		return fmt.Errorf("model %s is not in the registry, or has a fault; davit validate tells", m.Training.Model)
	}
	for _, v := range model.Versions {
		if v.Spec.Lineage.TrainedBy == run.Name {
			return fmt.Errorf("%s is what %s made already", v.Path, run.Name)
		}
	}
	images, err := a.images(nil, nil)
	if err != nil {
		return err
	}
	found := false
	if m.Result, found, err = images.RunResult(ctx, m.Training.Repository(), run.Hash); err != nil {
		return fmt.Errorf("reading what %s made: %w", run.Name, err)
	}
	if !found {
		return fmt.Errorf("the OCI registry has the result of %s no more, in %s", run.Name, m.Training.Repository())
	}
	m.Version = cmp.Or(version, m.Training.VersionName(run.Name, m.Result.Ended, func(name string) bool {
		_, err := fs.Stat(models.FS(), path.Join(path.Dir(model.Path), "versions", name+".yaml"))
		return err == nil
	}))
	return a.writeMade(cmd, m)
}

// succeeded is a run, of either ledger, that has a result.
func (a *app) succeeded(cmd *cobra.Command, models *registry.Registry, arg string) (gitops.Run, error) {
	runs, _, asked, err := a.allRuns(cmd.Context(), models)
	if err != nil {
		return gitops.Run{}, err
	}
	run, err := recorded(runs, arg)
	if err != nil && asked != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: what runs the cluster keeps is not known: %s\n", plainLines(asked.Error()))
	}
	if err == nil && run.State != gitops.RunSucceeded {
		err = fmt.Errorf("%s made no version: it is %s", run.Name, run.State)
	}
	return run, err
}

// trainingOfRun is the spec as the run was claimed for it: the worktree's may be another by now.
func (a *app) trainingOfRun(ctx context.Context, models *registry.Registry, run gitops.Run) (*registry.Training, error) {
	if source, err := a.source(ctx); err == nil {
		if then := registries(ctx, source)(run.Commit, ""); then != nil && then.Trainings[run.Training] != nil {
			return then.Trainings[run.Training], nil
		}
	}
	if t := models.Trainings[run.Training]; t != nil {
		if hash, err := t.RunHash(models.FS()); err == nil && hash == run.Hash {
			return t, nil
		}
	}
	return nil, fmt.Errorf("commit %.12s, which %s was made of, is not here; git fetch brings it", run.Commit, run.Name)
}

// writeMade puts the file down where none is.
func (a *app) writeMade(cmd *cobra.Command, m made.Made) error {
	name, text, err := m.File()
	if err != nil {
		return err
	}
	root, err := a.root()
	if err != nil {
		return err
	}
	full := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s:1: it is there already; name another version with --version NAME", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(full)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s, %s as %s made it; now: git add %s, commit and merge it\n", name, m, m.Run.Name, name)
	return err
}
