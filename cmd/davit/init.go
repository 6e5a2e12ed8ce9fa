package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"
)

// template is the registry that davit init starts from, with the catalog's runtime `custom`.
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
			root, err := fs.Sub(template, "template")
			if err != nil {
				return err
			}
			if err := writeTemplate(root, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote a registry to %[1]s; next:\n"+
				"  git -C %[1]s init -b main       unless it is in a repository already\n"+
				"  edit davit.yaml (where model images go) and runtimes/custom/1.0.0/runtime.yaml (your server's image)\n"+
				"  davit -C %[1]s add MODEL v1 FILE...\n"+
				"  davit -C %[1]s validate\n", args[0])
			return nil
		},
	}
}

// writeTemplate copies a tree into dir unless one of its files is there.
func writeTemplate(root fs.FS, dir string) error {
	var names []string
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already; davit init writes into a folder without a registry", path.Join(dir, name))
		}
	}
	for _, name := range names {
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
