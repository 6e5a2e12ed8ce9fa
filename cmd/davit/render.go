package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

func renderCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "render [ENV[/RELEASE]]",
		Short: "Print the objects of releases or of a training, or write the Kustomize tree they are built from",
		Long: "Prints the objects as YAML. A model image that is not built yet, or that --offline does not ask for,\n" +
			"stands as a placeholder digest of zeros and is reported. A training's are those of the run that its\n" +
			"spec makes, or of each trial of its sweep.",
		Args: cobra.MaximumNArgs(1),
	}
	overlays := c.Flags().String("overlays", "", "write the Kustomize tree below this new folder instead")
	offline := c.Flags().Bool("offline", false, "ask no OCI registry")
	training := c.Flags().String("training", "", "print the objects of a training, MODEL/NAME, instead")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *training != "" && len(args) > 0 {
			return usage{fmt.Errorf("--training %s and %s: render one of them", *training, args[0])}
		}
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		r := rendering{cmd: cmd, models: models, overlays: *overlays}
		if !*offline {
			if r.builder, err = a.images(nil, nil); err != nil {
				return err
			}
		}
		if *training != "" {
			return r.training(*training)
		}
		releases, err := selected(models, args)
		if err != nil {
			return err
		}
		return r.releases(releases)
	}
	return c
}

// rendering prints objects, or writes the trees they are built from.
type rendering struct {
	cmd      *cobra.Command
	models   *registry.Registry
	builder  *image.Builder // nil asks no OCI registry
	overlays string         // "" prints
}

func (p rendering) releases(releases []*registry.Release) error {
	if err := p.folder(); err != nil {
		return err
	}
	fsys := p.models.FS()
	var renderer render.Renderer
	for i, r := range releases {
		ref, err := p.modelImage(r.Repository(), r.ModelVersion)
		if err != nil {
			return err
		}
		if p.overlays != "" {
			tree, err := render.Overlay(fsys, r, ref)
			if err != nil {
				return fmt.Errorf("rendering %s: %w", r.Key(), err)
			}
			if err := p.write(r.Key().String(), tree); err != nil {
				return err
			}
			continue
		}
		out, err := renderer.Release(fsys, r, ref)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", r.Key(), err)
		}
		if i > 0 {
			fmt.Fprintln(p.cmd.OutOrStdout(), "---")
		}
		if _, err := p.cmd.OutOrStdout().Write(out.YAML); err != nil {
			return err
		}
	}
	return nil
}

// modelImage finds a version's image, or says that a placeholder stands for it.
func (p rendering) modelImage(repository string, v *registry.ModelVersion) (string, error) {
	if p.builder == nil {
		return image.Placeholder(repository), nil
	}
	found, ok, err := p.builder.Find(p.cmd.Context(), repository, v)
	if err != nil {
		return "", fmt.Errorf("looking for the image of %s: %w; pass --offline to do without", v, err)
	}
	if !ok {
		fmt.Fprintf(p.cmd.ErrOrStderr(), "davit: the image of %s is not built; a placeholder stands for it (davit build %s)\n", v, v)
		return image.Placeholder(repository), nil
	}
	return found.Ref, nil
}

// folder makes the folder of the trees.
func (p rendering) folder() error {
	if p.overlays == "" {
		return nil
	}
	if err := os.Mkdir(p.overlays, 0o755); err != nil {
		return fmt.Errorf("%w; name a folder that does not exist yet", err)
	}
	return nil
}

// write lays out a tree and says where its root is.
func (p rendering) write(root string, tree map[string][]byte) error {
	for name, data := range tree {
		if !filepath.IsLocal(name) {
			return errors.New("a path of the overlay leaves the folder: " + name)
		}
		file := filepath.Join(p.overlays, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintln(p.cmd.OutOrStdout(), filepath.Join(p.overlays, root))
	return nil
}
