package main

import (
	"fmt"
	"path"
	"slices"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/render/catalog"
)

func acceleratorCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "accelerator",
		Short: "List the kinds of GPU davit knows, or copy one into the registry",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(acceleratorList(a), acceleratorAdd(a))
	return c
}

func acceleratorList(a *app) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the accelerators of the catalog, and which are in the registry"}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		type entry struct {
			Name    string `json:"name"`
			Counts  string `json:"countedAs"`
			Here    bool   `json:"here"`
			Feature string `json:"feature,omitempty"`
			About   string `json:"about"`
		}
		have := a.folders("accelerators")
		var all []entry
		var rows [][]any
		for _, acc := range catalog.Accelerators() {
			here, mark := slices.Contains(have, acc.Name), "-"
			if here {
				mark = "yes"
			}
			all = append(all, entry{acc.Name, acc.Counts, here, acc.Feature, acc.About})
			rows = append(rows, []any{acc.Name, acc.Counts, mark, acc.About})
		}
		return printData(cmd.OutOrStdout(), *format, all, []any{"NAME", "COUNTED AS", "HERE", "ABOUT"}, rows)
	}
	return c
}

func acceleratorAdd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME",
		Short: "Copy an accelerator of the catalog into the registry",
		Long: "Writes accelerators/NAME: a Kustomize Component, which brings pods to the nodes that have such GPUs, and\n" +
			"accelerator.yaml. They are the registry's own from then on. Which label your nodes have is said in them: look\n" +
			"whether it is yours. A folder that exists is never written over.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			acc, err := catalog.FindAccelerator(args[0])
			if err != nil {
				return usage{err}
			}
			dir := path.Join("accelerators", acc.Name)
			root, err := a.vacant(dir, "edit it, or remove the folder to have it anew")
			if err != nil {
				return err
			}
			written, err := writeFiles(root, dir, acc.Files())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, file := range written {
				fmt.Fprintln(out, "wrote", file)
			}
			fmt.Fprintf(out, "a Serving has it with this:\n  accelerator: %s\n  gpus: 1\n", acc.Name)
			if acc.Feature != "" {
				fmt.Fprintln(out, "and its environment with this in its environment.yaml:")
			}
			printFeature(out, acc.Feature)
			return nil
		},
	}
}
