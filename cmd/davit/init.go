package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/render/catalog"
)

// template is the registry that davit init starts from, but for what comes from the catalog.
//
//go:embed all:template
var template embed.FS

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a registry to start from",
		Long: "Writes davit.yaml, the environments staging and production, the runtime custom and the accelerator gpu.\n" +
			"Files that exist are left as they are, and then nothing is written.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := startFiles()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				if _, err := os.Lstat(filepath.Join(args[0], filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("%s exists already; davit init writes into a folder without a registry", path.Join(args[0], name))
				}
			}
			if _, err := writeFiles(args[0], "", files); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote a registry to %[1]s; next:\n"+
				"  git -C %[1]s init -b main       unless it is in a repository already\n"+
				"  edit davit.yaml (where model images go) and runtimes/custom/1.0.0/runtime.yaml (your server's image)\n"+
				"  davit -C %[1]s runtime list     servers to add to it\n"+
				"  davit -C %[1]s add MODEL v1 FILE...\n"+
				"  davit -C %[1]s validate\n", args[0])
			return nil
		},
	}
}

// startFiles are the template with the catalog's runtime and accelerator, by path.
func startFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(template, "template", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := template.ReadFile(name)
		files[strings.TrimPrefix(name, "template/")] = data
		return err
	})
	if err != nil {
		return nil, err
	}
	custom, err := catalog.FindRuntime("custom")
	if err != nil {
		return nil, err
	}
	gpu, err := catalog.FindAccelerator("nvidia")
	if err != nil {
		return nil, err
	}
	for name, data := range custom.Files("", "") {
		files[path.Join("runtimes/custom", custom.Newest(), name)] = data
	}
	for name, data := range gpu.Files() {
		files[path.Join("accelerators/gpu", name)] = data
	}
	return files, nil
}
