package main

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// schemes are those of the addresses that a build reads.
var schemes = []string{"http", "https", "s3", "gs", "azblob", "hf", "oci"}

// sources finds what a build would refuse and can be known without fetching: files that are not there and
// addresses nobody reads.
func sources(fsys fs.FS, models *registry.Registry) (faults []registry.Fault) {
	for _, name := range slices.Sorted(maps.Keys(models.Models)) {
		versions := models.Models[name].Versions
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			v := versions[version]
			for i, f := range v.Spec.Files {
				text := ""
				if scheme, _, remote := strings.Cut(f.Source, "://"); remote {
					if !slices.Contains(schemes, strings.ToLower(scheme)) {
						text = fmt.Sprintf("source of %q: %s:// is not read; write one of %s", f.Path, scheme, strings.Join(schemes, ", "))
					}
				} else if info, err := fs.Stat(fsys, f.Source); err != nil || !info.Mode().IsRegular() {
					text = fmt.Sprintf("source of %q: %s is not a file of the repository; git add it, or write where it is", f.Path, f.Source)
				}
				if text != "" {
					faults = append(faults, registry.Fault{Path: v.Path, Line: v.FileLines[i], Text: text})
				}
			}
		}
	}
	return faults
}

// annotated is text in a workflow command of GitHub's, which ends with the line; annotatedFile is a property before it.
var (
	annotated     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	annotatedFile = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

var place = regexp.MustCompile(`^([^\s:]+):([0-9]+): (?s:(.*))$`)

// placed is a rendering's error at the place it names, or else in file.
func placed(file string, err error) registry.Fault {
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		if line, convErr := strconv.Atoi(m[2]); convErr == nil {
			return registry.Fault{Path: m[1], Line: line, Text: m[3]}
		}
	}
	return registry.Fault{Path: file, Line: 1, Text: err.Error()}
}

func validateCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check the registry; needs no credentials and fetches nothing",
		Long: "Reports every fault of the registry with its file and line, and renders every release and training to be sure.\n" +
			"With a base it also asks the gates of what is promoted, and tells of merged versions and evidence that changed.\n" +
			"What only time opens, or only the cluster knows, is a note. Exits 4 when there is a fault.",
	}
	base := c.Flags().String("base", "", "the revision that is changed, such as origin/main: its gates are asked (default: HEAD, for the worktree)")
	format := outputFlag(c, "text", "json", "github")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		fsys, err := a.tree(cmd.Context(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		models, err := registry.Load(fsys)
		if err != nil {
			return err
		}
		faults := append(models.Faults, sources(fsys, models)...)
		faults = append(faults, unknownEnvironments(fsys, models)...)
		var notes []registry.Fault
		if change, err := a.against(cmd.Context(), *base, fsys, models); err != nil {
			return err
		} else if change != nil {
			found, err := change.changes(cmd.Context(), a)
			if err != nil {
				return err
			}
			faults, notes = append(faults, found.faults...), found.notes
		}
		var renderer render.Renderer
		for _, r := range models.Releases {
			if _, err := renderer.Release(fsys, r, image.Placeholder(r.Repository())); err != nil {
				if fault := placed(r.Path, err); !slices.Contains(faults, fault) { // a shared layer's is told once
					faults = append(faults, fault)
				}
			}
		}
		for _, t := range slices.SortedFunc(maps.Values(models.Trainings), func(a, b *registry.Training) int { return strings.Compare(a.Path, b.Path) }) {
			if err := renders(fsys, t); err != nil {
				if fault := placed(t.Path, err); !slices.Contains(faults, fault) {
					faults = append(faults, fault)
				}
			}
		}
		out := cmd.OutOrStdout()
		if *format == "json" {
			if faults == nil {
				faults = []registry.Fault{}
			}
			if err := printData(out, "json", faults, nil, nil); err != nil {
				return err
			}
		} else {
			for _, f := range faults {
				if *format == "github" {
					fmt.Fprintf(out, "::error file=%s,line=%d::%s\n", annotatedFile.Replace(plainLines(f.Path)), f.Line, annotated.Replace(plainLines(f.Text)))
				} else {
					fmt.Fprintln(out, plainLines(f.String()))
				}
			}
		}
		for _, n := range notes {
			if *format == "github" {
				fmt.Fprintf(out, "::notice file=%s,line=%d::%s\n", annotatedFile.Replace(plainLines(n.Path)), n.Line, annotated.Replace(plainLines(n.Text)))
			} else {
				fmt.Fprintf(cmd.ErrOrStderr(), "davit: note: %s\n", plainLines(n.String()))
			}
		}
		if len(faults) > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s\n", counted(len(faults), "fault"))
			return exit(exitInvalid)
		}
		if *format == "text" {
			fmt.Fprintf(out, "valid: %s, %s, %s", counted(len(models.Models), "model"),
				counted(len(models.Environments), "environment"), counted(len(models.Releases), "release"))
			if n := len(models.Trainings); n > 0 {
				fmt.Fprintf(out, ", %s", counted(n, "training"))
			}
			fmt.Fprintln(out)
		}
		return nil
	}
	return c
}
