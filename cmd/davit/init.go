package main

import (
	"context"
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
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write a registry to start from",
		Long: "Writes davit.yaml, the environments staging and production, the runtime custom and the accelerator gpu.\n" +
			"Files that exist are left as they are, and then nothing is written. In a clone of a registry it has git fetch\n" +
			"and show what came of each commit.\n\n" +
			"With --ci it writes what checks each pull request and shows what it changes, into a registry that exists, too.",
		Args: cobra.ExactArgs(1),
	}
	var ci pipeline
	c.Flags().StringVar(&ci.host, "ci", "", "write the workflows of this forge: github or gitlab")
	c.Flags().StringVar(&ci.version, "davit-version", "latest", "with --ci: the version of davit that they install, such as v0.3.0")
	c.RunE = func(cmd *cobra.Command, args []string) error { return initialize(cmd, args[0], ci) }
	return c
}

func initialize(cmd *cobra.Command, dir string, ci pipeline) error {
	folder, err := folderToBe(dir)
	if err != nil {
		return err
	}
	workflows, err := ci.files(folder)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "davit.yaml")); err == nil {
		if ci.host != "" {
			return ci.write(cmd, dir, workflows)
		}
		if shown, err := showNotes(cmd.Context(), dir); shown || err != nil {
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is a registry already; from now on git fetches its outcomes here, and git log shows them\n", dir)
			}
			return err
		}
	}
	files, err := startFiles()
	if err != nil {
		return err
	}
	maps.Copy(files, workflows)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already; davit init writes into a folder without a registry", path.Join(dir, name))
		}
	}
	if _, err := writeFiles(dir, "", files); err != nil {
		return err
	}
	if _, err := showNotes(cmd.Context(), dir); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote a registry to %[1]s; next:\n"+
		"  git -C %[1]s init -b main       unless it is in a repository already\n"+
		"  edit davit.yaml (where model images go) and runtimes/custom/1.0.0/runtime.yaml (your server's image)\n"+
		"  davit -C %[1]s runtime list     servers to add to it\n"+
		"  davit -C %[1]s add MODEL v1 FILE...\n"+
		"  davit -C %[1]s validate\n"+
		"  davit init .                    in each clone: git log shows what came of each commit\n", dir)
	return nil
}

// Outcomes are fetched to a place of their own, so that fetching neither prunes nor refuses a person's notes. The patterns
// fit one ref, and unlike its name may fit none: until there are outcomes, git fetch would fail and git log warn.
const (
	shownNotes   = "refs/notes/*davit"
	fetchedNotes = "+refs/notes/davit*:refs/notes/origin/davit*"
)

// showNotes has git fetch outcomes and show them in git log, in a clone; in what is none, nothing is shown.
func showNotes(ctx context.Context, dir string) (shown bool, err error) {
	c := &clone{dir: dir}
	if _, err := c.git(ctx, "remote", "get-url", "origin"); err != nil {
		return false, nil
	}
	for _, setting := range [][2]string{{"notes.displayRef", shownNotes}, {"remote.origin.fetch", fetchedNotes}, {"remote.origin.fetch", fetchedRuns}} {
		there, _ := c.git(ctx, "config", "--get-all", setting[0])
		if slices.Contains(strings.Split(there, "\n"), setting[1]) {
			continue
		}
		if _, err := c.git(ctx, "config", "--add", setting[0], setting[1]); err != nil {
			return false, err
		}
	}
	return true, nil
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
