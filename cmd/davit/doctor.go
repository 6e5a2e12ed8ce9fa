package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
)

// What a check can say.
const (
	fine   = "ok"
	warn   = "warning"
	failed = "failed"
)

// diagnosis is what one check says, with what to do about it.
type diagnosis struct {
	Check   string `json:"check"`
	State   string `json:"state"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// examination is one run of davit doctor.
type examination struct {
	app      *app
	models   *registry.Registry // nil where there is none
	findings []diagnosis
	accounts map[string]string // service accounts of the controllers that run, by namespace
}

// patienceOfChecks is how long one check may take.
var patienceOfChecks = 20 * time.Second

func doctorCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check access to Git, OCI registry and cluster, and what they lack, with the remedy for each",
		Long: "Changes nothing. It asks as you, with your kubeconfig and your credentials for Git and the OCI registry. Where\n" +
			"davit is installed it looks at the controller, at what its service account and those that it acts as may do,\n" +
			"and at what each ModelRegistry says of how it is followed. Exits 1 when something fails; a warning may be\n" +
			"meant.",
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		e := &examination{app: a, findings: []diagnosis{}, accounts: map[string]string{}}
		for _, check := range []func(context.Context){e.registry, e.git, e.images, e.cluster} {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), patienceOfChecks, fmt.Errorf("no answer for %s", patienceOfChecks))
			check(ctx)
			cancel()
			if err := cmd.Context().Err(); err != nil {
				return err
			}
		}
		if err := e.print(cmd.OutOrStdout(), *output); err != nil {
			return err
		}
		if e.count(failed) > 0 {
			return exit(exitFailed)
		}
		return nil
	}
	return c
}

// say adds what a check found.
func (e *examination) say(state, check, message, remedy string) {
	e.findings = append(e.findings, diagnosis{check, state, message, remedy})
}

func (e *examination) count(state string) (n int) {
	for _, f := range e.findings {
		if f.State == state {
			n++
		}
	}
	return n
}

// registry loads what is in the folder. Without one, what it would be asked for is left out.
func (e *examination) registry(ctx context.Context) {
	fsys, err := e.app.tree(ctx, io.Discard)
	if err == nil {
		e.models, err = registry.Load(fsys)
	}
	switch {
	case err != nil:
		e.say(warn, "registry", err.Error(), "run it in a clone of the registry, or name it with -C: without one, Git, images and environments are not checked")
	case len(e.models.Faults) > 0:
		e.say(failed, "registry", fmt.Sprintf("%s; first: %s", counted(len(e.models.Faults), "fault"), e.models.Faults[0]), "davit validate lists them all")
	default:
		e.say(fine, "registry", fmt.Sprintf("valid: %s, %s, %s", counted(len(e.models.Models), "model"), counted(len(e.models.Environments), "environment"), counted(len(e.models.Releases), "release")), "")
	}
}

func (e *examination) print(w io.Writer, format string) error {
	if format != "table" {
		return printData(w, format, e.findings, nil, nil)
	}
	width := 0
	for _, f := range e.findings {
		width = max(width, len(f.Check))
	}
	for _, f := range e.findings {
		fmt.Fprintf(w, "%-7s  %-*s  %s\n", f.State, width, f.Check, plain(strings.ReplaceAll(f.Message, "\n", " ")))
		if f.Remedy != "" {
			fmt.Fprintf(w, "%*s→ %s\n", width+11, "", plain(f.Remedy))
		}
	}
	fmt.Fprintf(w, "\n%d ok, %s, %d failed\n", e.count(fine), counted(e.count(warn), "warning"), e.count(failed))
	return nil
}
