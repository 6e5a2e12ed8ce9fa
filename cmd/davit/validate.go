package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
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
		v, err := a.validate(cmd, *base)
		if err != nil {
			return err
		}
		if *format == "github" { // which knows files by their path from the repository's root
			if v.folder, err = a.folder(); err != nil {
				return err
			}
		}
		return v.print(cmd, *format)
	}
	return c
}

// validity is what there is to say of a registry.
type validity struct {
	models        *registry.Registry
	faults, notes []registry.Fault
	folder        string // of the registry, for annotations
}

func (a *app) validate(cmd *cobra.Command, base string) (*validity, error) {
	fsys, err := a.tree(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	models, err := registry.Load(fsys)
	if err != nil {
		return nil, err
	}
	v := &validity{models: models, faults: append(models.Faults, sources(fsys, models)...)}
	v.faults = append(v.faults, unknownEnvironments(fsys, models)...)
	if change, err := a.against(cmd.Context(), base, fsys, models); err != nil {
		return nil, err
	} else if change != nil {
		found, err := change.changes(cmd.Context(), a)
		if err != nil {
			return nil, err
		}
		v.faults, v.notes = append(v.faults, found.faults...), found.notes
	}
	v.render(fsys)
	return v, nil
}

// render renders everything to be sure.
func (v *validity) render(fsys fs.FS) {
	add := func(file string, err error) {
		if err == nil {
			return
		}
		if fault := placed(file, err); !slices.Contains(v.faults, fault) { // a shared layer's is told once
			v.faults = append(v.faults, fault)
		}
	}
	exposed := func(file string, secrets []string) {
		for _, text := range secrets {
			add(file, errors.New(text))
		}
	}
	var renderer render.Renderer
	for _, r := range v.models.Releases {
		out, err := renderer.Release(fsys, r, image.Placeholder(r.Repository()))
		add(r.Path, err)
		if err == nil {
			exposed(r.Path, out.InClear)
		}
	}
	for _, t := range slices.SortedFunc(maps.Values(v.models.Trainings), func(a, b *registry.Training) int { return strings.Compare(a.Path, b.Path) }) {
		inClear, err := renders(fsys, t)
		add(t.Path, err)
		exposed(t.Path, inClear)
	}
}

func (v *validity) print(cmd *cobra.Command, format string) error {
	out := cmd.OutOrStdout()
	if format == "json" {
		if err := printData(out, "json", append([]registry.Fault{}, v.faults...), nil, nil); err != nil {
			return err
		}
	}
	for _, f := range v.faults {
		switch format {
		case "github":
			v.annotate(out, "error", f)
		case "text":
			fmt.Fprintln(out, plainLines(f.String()))
		}
	}
	for _, n := range v.notes {
		if format == "github" {
			v.annotate(out, "notice", n)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "davit: note: %s\n", plainLines(n.String()))
		}
	}
	if len(v.faults) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s\n", counted(len(v.faults), "fault"))
		return exit(exitInvalid)
	}
	if format == "text" {
		v.sum(out)
	}
	return nil
}

// annotate prints a fault as a workflow command of GitHub's.
func (v *validity) annotate(w io.Writer, level string, f registry.Fault) {
	fmt.Fprintf(w, "::%s file=%s,line=%d::%s\n", level, annotatedFile.Replace(plainLines(path.Join(v.folder, f.Path))), f.Line, annotated.Replace(plainLines(f.Text)))
}

// sum tells what was found valid.
func (v *validity) sum(w io.Writer) {
	m := v.models
	fmt.Fprintf(w, "valid: %s, %s, %s", counted(len(m.Models), "model"), counted(len(m.Environments), "environment"), counted(len(m.Releases), "release"))
	if n := len(m.Trainings); n > 0 {
		fmt.Fprintf(w, ", %s", counted(n, "training"))
	}
	fmt.Fprintln(w)
}
