package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
)

func findCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "find",
		Short: "List what uses a runtime, a model or an accelerator, and the line that decides it",
		Long: "Lists the releases, and the trainings, that all of the flags fit, each with the file and line that decides it:\n" +
			"the Release, the Serving, davit.yaml's defaults, or the environment that gives a runtime its version. Exits 1 when\n" +
			"something has a fault, so that it is not known what it uses.\n\n" +
			"With --live it is the cluster that is asked: what is applied still uses it, whatever the branch says. While a\n" +
			"shared change goes through its waves, these are the releases that it has not reached.",
		Example: "  davit find --runtime vllm@0.11.2 --env production\n  davit find --runtime vllm@0.11.2 --live\n  davit find --model iris@v1",
	}
	var want wanted
	f := c.Flags()
	f.StringVar(&want.runtime, "runtime", "", "a runtime, NAME or NAME@VERSION")
	f.StringVar(&want.model, "model", "", "a model, NAME or NAME@VERSION")
	f.StringVar(&want.accelerator, "accelerator", "", "a kind of GPU")
	f.StringVar(&want.team, "team", "", "the team whose folder it is in")
	f.StringVar(&want.environment, "env", "", "an environment")
	live := f.Bool("live", false, "look at what is applied in the cluster, at its commits")
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *live {
			return a.findLive(cmd, want, *format)
		}
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		if err := want.check(models); err != nil {
			return err
		}
		if err := printUses(cmd, *format, want.in(models)); err != nil {
			return err
		}
		return want.unknown(cmd, models)
	}
	return c
}

// wanted is what has to fit; what is empty fits all.
type wanted struct{ runtime, model, accelerator, team, environment string }

// use is a release, or a training, that fits.
type use struct {
	Kind        string `json:"kind"` // Release | Training
	Name        string `json:"name"` // ENV/RELEASE, or MODEL/TRAINING
	Environment string `json:"environment"`
	Model       string `json:"model"`
	Version     string `json:"version,omitempty"` // of a training, what it starts from
	Team        string `json:"team,omitempty"`
	Runtime     string `json:"runtime,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
	// Decided are the lines that decide what was asked for.
	Decided []decided `json:"decided"`
}

type decided struct {
	What string `json:"what"`
	File string `json:"file"`
	Line int    `json:"line"`
}

func (d decided) String() string { return fmt.Sprintf("%s:%d", d.File, d.Line) }

// check refuses names that nothing bears, which would find nothing.
func (w wanted) check(models *registry.Registry) error {
	var runtimes []string
	for name := range models.Runtimes {
		short, _, _ := strings.Cut(name, "@")
		runtimes = append(runtimes, name, short)
	}
	var versions []string
	for name, m := range models.Models {
		versions = append(versions, name)
		for version := range m.Versions {
			versions = append(versions, name+"@"+version)
		}
	}
	for _, c := range []struct {
		flag, value string
		known       []string
	}{
		{"runtime", w.runtime, runtimes}, {"model", w.model, versions}, {"accelerator", w.accelerator, keys(models.Accelerators)},
		{"team", w.team, keys(models.Teams)}, {"env", w.environment, keys(models.Environments)},
	} {
		if c.value != "" && !slices.Contains(c.known, c.value) {
			return usage{fmt.Errorf("--%s: there is no %q in the registry%s", c.flag, c.value, have(c.known))}
		}
	}
	return nil
}

func keys[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// have lists some of the known names.
func have(known []string) string {
	const most = 12
	slices.Sort(known)
	known = slices.Compact(known)
	switch n := len(known); {
	case n == 0:
		return ""
	case n > most:
		return fmt.Sprintf(" (have %s and %d more)", strings.Join(known[:most], ", "), n-most)
	}
	return " (have " + strings.Join(known, ", ") + ")"
}

// in are the uses in a registry.
func (w wanted) in(models *registry.Registry) []use {
	uses := []use{}
	for _, r := range models.Releases {
		if u := useOf(r); w.fits(u) {
			u.Decided = w.decidedBy(models, r)
			uses = append(uses, u)
		}
	}
	for _, name := range slices.Sorted(slices.Values(keys(models.Trainings))) {
		if u := trainingUse(models.Trainings[name]); w.runtime == "" && w.fits(u) {
			u.Decided = w.trainingDecided(models, models.Trainings[name])
			uses = append(uses, u)
		}
	}
	return uses
}

// unknown tells of what has a fault, and so may use anything: load has told which.
func (w wanted) unknown(cmd *cobra.Command, models *registry.Registry) error {
	n := 0
	for _, key := range models.BrokenKeys() {
		if w.environment == "" || w.environment == key.Environment {
			n++
		}
	}
	trainings := len(models.BrokenTrainings)
	if w.runtime != "" || w.environment != "" { // of which environment a training with a fault is, is not known
		trainings = 0
	}
	if n+trainings == 0 {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "davit: of %d with a fault it is not known; davit validate tells more\n", n+trainings)
	return exit(exitFailed)
}

func useOf(r *registry.Release) use {
	u := use{Kind: "Release", Name: r.Key().String(), Environment: r.Environment.Name, Model: r.Model.Name, Version: r.ModelVersion.Name, Team: r.Team, Runtime: r.Runtime.String()}
	if r.Accelerator != nil {
		u.Accelerator = r.Accelerator.Name
	}
	return u
}

func trainingUse(t *registry.Training) use {
	u := use{Kind: "Training", Name: t.Key(), Environment: t.Environment.Name, Model: t.Model, Team: t.Team}
	if t.BaseVersion != nil {
		u.Model, u.Version = t.BaseVersion.Model, t.BaseVersion.Name
	}
	if t.Accelerator != nil {
		u.Accelerator = t.Accelerator.Name
	}
	return u
}

// fits says whether a use is what is wanted.
func (w wanted) fits(u use) bool {
	versioned := func(want, name, version string) bool {
		return want == "" || want == name || want == name+"@"+version
	}
	runtime, version, _ := strings.Cut(u.Runtime, "@")
	return versioned(w.runtime, runtime, version) && versioned(w.model, u.Model, u.Version) &&
		(w.accelerator == "" || w.accelerator == u.Accelerator) && (w.team == "" || w.team == u.Team) &&
		(w.environment == "" || w.environment == u.Environment)
}

// decidedBy are the lines to edit for another answer; that of the version when nothing was asked for that a line decides.
func (w wanted) decidedBy(models *registry.Registry, r *registry.Release) (lines []decided) {
	add := func(what string) {
		file, line := models.Where(r, what)
		lines = append(lines, decided{what, file, line})
	}
	if w.runtime != "" {
		add("runtime")
	}
	if name, version, _ := strings.Cut(w.model, "@"); version != "" {
		add("version")
	} else if name != "" {
		add("model")
	}
	if w.accelerator != "" {
		add("accelerator")
	}
	if len(lines) == 0 {
		add("version")
	}
	return lines
}

func (w wanted) trainingDecided(models *registry.Registry, t *registry.Training) []decided {
	what := cmp.Or(map[bool]string{true: "accelerator"}[w.accelerator != ""], map[bool]string{true: "baseVersion"}[w.model != "" && t.BaseVersion != nil], "environment")
	return []decided{{what, t.Path, models.Line(t.Path, what)}}
}

// printUses prints a row for each.
func printUses(cmd *cobra.Command, format string, uses []use) error {
	if len(uses) == 0 && format == "table" {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: nothing in the registry uses that")
		return nil
	}
	var rows [][]any
	for _, u := range uses {
		name := u.Name
		if u.Kind == "Training" {
			name = "training " + name
		}
		rows = append(rows, []any{name, u.Model + "@" + orDash(u.Version), orDash(u.Team), orDash(u.Runtime), orDash(u.Accelerator), joined(u.Decided)})
	}
	return printData(cmd.OutOrStdout(), format, uses, []any{"RELEASE", "MODEL", "TEAM", "RUNTIME", "ACCELERATOR", "DECIDED BY"}, rows)
}

func joined(lines []decided) string {
	var out []string
	for _, d := range lines {
		if text := d.String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}
