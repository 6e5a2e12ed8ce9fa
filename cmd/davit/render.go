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
		Short: "Print the objects of releases, or write the Kustomize tree they are built from",
		Long: "Prints the objects as YAML. A model image that is not built yet, or that --offline does not ask for,\n" +
			"stands as a placeholder digest of zeros and is reported.",
		Args: cobra.MaximumNArgs(1),
	}
	overlays := c.Flags().String("overlays", "", "write the Kustomize tree below this new folder instead")
	offline := c.Flags().Bool("offline", false, "ask no OCI registry")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		fsys := models.FS()
		releases, err := selected(models, args)
		if err != nil {
			return err
		}
		builder, err := a.images(nil)
		if err != nil {
			return err
		}
		if *overlays != "" {
			if err := os.Mkdir(*overlays, 0o755); err != nil {
				return fmt.Errorf("%w; name a folder that does not exist yet", err)
			}
		}
		var renderer render.Renderer
		for i, r := range releases {
			ref := image.Placeholder(r.Repository())
			if !*offline {
				found, ok, err := builder.Find(cmd.Context(), r.Repository(), r.ModelVersion)
				switch {
				case err != nil:
					return fmt.Errorf("looking for the image of %s: %w; pass --offline to do without", r.ModelVersion, err)
				case ok:
					ref = found.Ref
				default:
					fmt.Fprintf(cmd.ErrOrStderr(), "davit: the image of %s is not built; a placeholder stands for it (davit build %s)\n", r.ModelVersion, r.ModelVersion)
				}
			}
			if *overlays != "" {
				if err := writeOverlay(cmd, *overlays, r, func() (map[string][]byte, error) { return render.Overlay(fsys, r, ref) }); err != nil {
					return err
				}
				continue
			}
			out, err := renderer.Release(fsys, r, ref)
			if err != nil {
				return fmt.Errorf("rendering %s: %w", r.Key(), err)
			}
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "---")
			}
			if _, err := cmd.OutOrStdout().Write(out.YAML); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func writeOverlay(cmd *cobra.Command, dir string, r *registry.Release, files func() (map[string][]byte, error)) error {
	tree, err := files()
	if err != nil {
		return fmt.Errorf("rendering %s: %w", r.Key(), err)
	}
	for name, data := range tree {
		if !filepath.IsLocal(name) {
			return errors.New("a path of the overlay leaves the folder: " + name)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(dir, r.Key().String()))
	return nil
}
