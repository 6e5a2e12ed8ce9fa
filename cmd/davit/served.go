package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// served is a release at a time, with all that decided what it answered.
type served struct {
	Release string `json:"release"`
	Version string `json:"version"`
	// Basis is "outcome" for what was noted, "intent" for what the branch asked for where nothing was.
	Basis   string           `json:"basis"`
	Since   time.Time        `json:"since,omitzero"`
	Until   time.Time        `json:"until,omitzero"`
	Rollout *history.Rollout `json:"rollout,omitempty"`
	Commit  string           `json:"commit"`
	who
	Model        string             `json:"model,omitempty"`
	Files        []weights          `json:"files,omitempty"`
	Image        string             `json:"image,omitempty"` // the model's, by digest
	Runtime      string             `json:"runtime,omitempty"`
	RuntimeImage string             `json:"runtimeImage,omitempty"`
	Args         []string           `json:"args,omitempty"`
	Env          []string           `json:"env,omitempty"` // names only
	Accelerator  string             `json:"accelerator,omitempty"`
	GPUs         int                `json:"gpus,omitempty"`
	Datasets     []dataset          `json:"datasets,omitempty"`
	Metrics      map[string]float64 `json:"metrics,omitempty"`
	// Problem says why the files of the commit don't tell more.
	Problem string `json:"problem,omitempty"`
}

type weights struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type dataset struct {
	Name   string `json:"name"`
	URI    string `json:"uri,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// served prints what served at a time.
func (p *past) served(cmd *cobra.Command, at time.Time, format string) error {
	ctx := cmd.Context()
	all, err := p.At(ctx, p.tip, at, p.filter)
	if err != nil {
		return err
	}
	list := make([]served, len(all))
	for i, s := range all {
		list[i] = p.servedThen(ctx, s)
	}
	if len(list) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: nothing served at %s\n", at.Local().Format(time.DateTime))
	}
	switch out := cmd.OutOrStdout(); {
	case format == "csv":
		return printServedCSV(out, list)
	case format == "table" && p.filter.Release != "":
		return printSheets(out, list)
	default:
		return printServed(out, format, list)
	}
}

func (p *past) servedThen(ctx context.Context, s history.Served) served {
	out := served{
		Release: s.Release.String(), Version: s.Version, Basis: "outcome", Since: s.Since.UTC(), Until: s.Until.UTC(),
		Rollout: s.Rollout, Commit: s.Commit, Image: s.Image, Problem: s.Problem,
	}
	if s.Intent {
		out.Basis = "intent"
	}
	if by, err := p.Who(ctx, s.Commit, p.signers); err == nil { // a commit that is not here is the problem
		out.who = whoOf(by)
	}
	if s.Spec != nil {
		out.tell(s.Spec)
	}
	return out
}

// tell adds what the release's files say.
func (s *served) tell(r *registry.Release) {
	v := r.ModelVersion
	s.Version, s.Model, s.Metrics = cmp.Or(s.Version, v.Name), r.Model.Name, v.Spec.Metrics
	for _, f := range v.Spec.Files {
		s.Files = append(s.Files, weights{f.Path, f.SHA256, f.Size})
	}
	for _, d := range v.Spec.Datasets {
		s.Datasets = append(s.Datasets, dataset{d.Name, d.URI, d.SHA256})
	}
	s.Runtime, s.RuntimeImage = r.Runtime.String(), r.Runtime.Spec.Image
	if r.Accelerator != nil {
		s.Accelerator, s.GPUs = r.Accelerator.Name, r.Serving.GPUs
	}
	s.Args, s.Env = render.Arguments(r), render.Variables(r)
}

func printServed(w io.Writer, format string, list []served) error {
	header := []any{"RELEASE", "VERSION", "SINCE", "UNTIL", "WHO", "WEIGHTS", "RUNTIME", "DATA", "COMMIT", "BASIS"}
	var rows [][]any
	for _, s := range list {
		rows = append(rows, []any{
			s.Release, s.versions(), local(s.Since), local(s.Until), orDash(s.by()), s.weights(12), orDash(s.Runtime), s.data(), short(s.Commit), s.Basis,
		})
	}
	return printData(w, format, list, header, rows)
}

// printSheets prints all there is of few releases.
func printSheets(w io.Writer, list []served) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" && text != "-" {
			fmt.Fprintf(tab, "  %s\t%s\n", name, plain(text))
		}
	}
	for _, s := range list {
		fmt.Fprintf(tab, "%s  %s\n", s.Release, plain(s.versions()))
		line("basis", map[string]string{"outcome": "outcomes that were noted", "intent": "intent: what the branch asked for; no outcome was noted"}[s.Basis])
		line("since", local(s.Since))
		line("until", local(s.Until))
		line("commit", s.Commit)
		line("subject", s.Subject)
		line("who", s.by())
		line("signer", s.Signer)
		line("unsigned", s.Unsigned)
		for _, f := range s.Files {
			line("weights", fmt.Sprintf("%s  sha256:%s  %d bytes", f.Path, f.SHA256, f.Size))
		}
		line("image", s.Image)
		line("runtime", strings.TrimSpace(s.Runtime+"  "+s.RuntimeImage))
		line("arguments", strings.Join(s.Args, " "))
		line("variables", strings.Join(s.Env, " "))
		line("accelerator", s.gpus())
		line("metrics", metrics(nil, s.Metrics))
		for _, d := range s.Datasets {
			line("data", d.String())
		}
		line("problem", s.Problem)
	}
	return tab.Flush()
}

// versions is the version, and while it was rolled out what came before.
func (s served) versions() string {
	if s.Rollout == nil {
		return orDash(s.Version)
	}
	return fmt.Sprintf("%s → %s (rolling out; %s at %s)", orDash(s.Rollout.From), s.Version, s.Rollout.Outcome, local(s.Rollout.Settled))
}

func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// weights are the files' digests, cut to so many digits; 0 for whole ones.
func (s served) weights(digits int) string {
	var list []string
	for _, f := range s.Files {
		if digits > 0 && len(list) == 2 {
			list = append(list, fmt.Sprintf("and %d more", len(s.Files)-2))
			break
		}
		sum := f.SHA256
		if digits > 0 {
			sum = sum[:digits]
		}
		list = append(list, f.Path+"@sha256:"+sum)
	}
	return orDash(strings.Join(list, " "))
}

func (s served) data() string {
	var names []string
	for _, d := range s.Datasets {
		names = append(names, d.Name)
	}
	return orDash(strings.Join(names, " "))
}

func (s served) gpus() string {
	if s.Accelerator == "" {
		return ""
	}
	return fmt.Sprintf("%s × %d", s.Accelerator, s.GPUs)
}

func (d dataset) String() string {
	text := d.Name
	if d.URI != "" {
		text += "  " + d.URI
	}
	if d.SHA256 != "" {
		text += "  sha256:" + d.SHA256
	}
	return text
}

func printServedCSV(w io.Writer, list []served) error {
	out := csv.NewWriter(w)
	out.Write(strings.Split("release,version,basis,since,until,rollout,author,authorEmail,committer,committerEmail,signer,pullRequest,model,weights,image,"+
		"runtime,runtimeImage,args,env,accelerator,gpus,data,commit,problem", ","))
	for _, s := range list {
		rollout := ""
		if s.Rollout != nil {
			rollout = fmt.Sprintf("from %s; %s at %s", orDash(s.Rollout.From), s.Rollout.Outcome, stamp(s.Rollout.Settled))
		}
		var data []string
		for _, d := range s.Datasets {
			data = append(data, d.String())
		}
		out.Write([]string{s.Release, s.Version, s.Basis, stamp(s.Since), stamp(s.Until), rollout, s.Author, s.AuthorEmail, s.Committer, s.CommitterEmail,
			s.Signer, s.PullRequest, s.Model, s.weights(0), s.Image, s.Runtime, s.RuntimeImage, strings.Join(s.Args, " "), strings.Join(s.Env, " "),
			s.Accelerator, strconv.Itoa(s.GPUs), strings.Join(data, "; "), s.Commit, s.Problem})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}
