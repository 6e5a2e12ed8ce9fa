package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry/image"
)

func pullCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pull MODEL[@VERSION]|IMAGE DIR",
		Short: "Copy a model image's files into a folder",
		Long: "Writes the files of a model's image to DIR/models, each under its path in the model. That is what a container sees that\n" +
			"mounts the image at DIR: an init container that runs\n\n" +
			"  davit pull registry.example.com/models/iris@sha256:… /mnt/model\n\n" +
			"leaves the files at /mnt/model/models, where the mounted image would have them. An image is named with its host, by\n" +
			"digest or tag; it needs no registry repository and is read with the credentials of docker login. A model is found\n" +
			"by the repository's versions, and must be built.\n\n" +
			"Every file is checked against the image's digests, and none is seen before all are there. What is there already is\n" +
			"not read again, and a pull that was interrupted goes on where it was. Files that are not the model's stop it.",
		Example: "  davit pull iris@v2 /tmp/iris",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			bars := newProgress(cmd.ErrOrStderr())
			defer bars.clear()
			builder, err := a.images(bars.show, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			if err != nil {
				return err
			}
			ref, err := a.modelImage(cmd, builder, args[0])
			if err != nil {
				return err
			}
			began := time.Now()
			got, err := builder.Pull(cmd.Context(), ref, args[1])
			bars.clear()
			switch {
			case err != nil && cmd.Context().Err() != nil:
				return errors.New("interrupted: nothing is seen in the folder yet; run the command again, and it goes on")
			case err != nil:
				return fmt.Errorf("pulling %s: %w", args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  (%s, %d bytes; %d bytes read in %s)\n", got.Ref, filepath.Join(args[1], "models"),
				counted(got.Files, "file"), got.Bytes, got.BytesRead, time.Since(began).Round(time.Millisecond))
			return nil
		},
	}
}

// modelImage is the image that an argument names: itself, or the one that is built of a version.
func (a *app) modelImage(cmd *cobra.Command, builder *image.Builder, arg string) (string, error) {
	if strings.Contains(arg, "/") {
		if _, err := image.ParseReference(arg); err != nil {
			return "", usage{err}
		}
		return arg, nil
	}
	models, err := a.load(cmd)
	if err != nil {
		return "", err
	}
	versions, err := versionsOf(models, []string{arg})
	if err != nil {
		return "", err
	}
	if len(versions) > 1 {
		var names []string
		for _, v := range versions {
			names = append(names, v.String())
		}
		return "", usage{fmt.Errorf("model %q has several versions; name one of %s", arg, strings.Join(names, ", "))}
	}
	v := versions[0]
	found, ok, err := builder.Find(cmd.Context(), models.Spec.Images+"/"+v.Model, v)
	if err == nil && !ok {
		err = fmt.Errorf("the image of %s is not built; run davit build %[1]s", v)
	}
	return found.Ref, err
}
