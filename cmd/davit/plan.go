package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// planned is what happens to one release.
type planned struct {
	Release string `json:"release"`
	Change  string `json:"change"` // add | change | remove | broken
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	Note    string `json:"note,omitempty"`
	Diff    string `json:"diff,omitempty"` // of the rendered objects
}

func planCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "plan [ENV[/RELEASE]]",
		Short: "Show what the worktree, or --rev, changes against a base revision",
		Long: "Compares releases and their rendered objects with those of a base revision. Needs no credentials and\n" +
			"fetches nothing: model images stand as a placeholder digest. Exits 3 when there are changes.\n\n" +
			"With --server the cluster of the kubeconfig's context is asked: whether it has the devices, nodes and room\n" +
			"that the releases ask for, which of their pods would wait, and whether it serves what the environments\n" +
			"declare; exits 1 when it does not. All selected environments are held against that one cluster, so name\n" +
			"one where each has its own: davit plan production --server --context production.\n" +
			"Places are found for the largest pods first, each on the first node with room. Priorities, quotas, queues,\n" +
			"volumes, affinity between pods and spread over zones are not looked at.",
		Args: cobra.MaximumNArgs(1),
	}
	base := c.Flags().String("base", "HEAD", "the revision to compare with")
	server := c.Flags().Bool("server", false, "ask the cluster whether it has what the releases ask for")
	format := outputFlag(c, "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		match, err := selector(args)
		if err != nil {
			return err
		}
		after, err := a.load(cmd)
		if err != nil {
			return err
		}
		old, err := a.revision(ctx, *base)
		if err != nil {
			return err
		}
		before, err := registry.Load(old)
		if err != nil {
			return fmt.Errorf("reading the registry at %s: %w", *base, err)
		}
		changes, err := compare(before, after, match)
		if err != nil {
			return err
		}
		if *server {
			return a.planServer(cmd, *format, changes, func() ([]environmentCapacity, error) { return a.capacity(ctx, before, after, match) })
		}
		if *format == "json" {
			err = printData(cmd.OutOrStdout(), "json", changes, nil, nil)
		} else {
			err = printPlan(cmd.OutOrStdout(), changes)
		}
		if err == nil && len(changes) > 0 {
			return exit(exitChanges)
		}
		return err
	}
	return c
}

func compare(before, after *registry.Registry, match func(registry.Key) bool) ([]planned, error) {
	changes := []planned{}
	var renderer render.Renderer
	for _, key := range bothKeys(before, after) {
		if !match(key) {
			continue
		}
		was, is := before.Release(key), after.Release(key)
		if same(before, was, after, is) {
			continue
		}
		p := planned{Release: key.String(), Change: "change"}
		var from, to *render.Output
		var err error
		if was != nil {
			p.From = was.ModelVersion.Name
			if from, err = offline(&renderer, before.FS(), was); err != nil {
				from = nil // it did not render before either; what counts is that it does now
			}
		} else if _, broken := before.Broken[key]; !broken {
			p.Change = "add"
		}
		switch faults, broken := after.Broken[key]; {
		case broken:
			p.Change, p.Note = "broken", "stays at its last good revision: "+faults[0].String()
		case is == nil:
			p.Change = "remove"
		default:
			p.To = is.ModelVersion.Name
			if bad := is.MarkedBad(was); bad != nil {
				p.Change, p.Note = "broken", "stays as it is: "+bad.String()
				break
			}
			if to, err = offline(&renderer, after.FS(), is); err != nil {
				p.Change, p.Note = "broken", err.Error()
			}
			if was != nil && !slices.Equal(was.ModelVersion.Spec.Files, is.ModelVersion.Spec.Files) {
				p.Note = strings.TrimSpace(p.Note + " other weights: " + describe(is.ModelVersion.Spec))
			} else if p.Change == "add" {
				p.Note = describe(is.ModelVersion.Spec)
			} else if was != nil && p.Change == "change" && from != nil && from.Hash == to.Hash {
				continue
			}
		}
		if p.Change != "broken" {
			p.Diff = difference(from, to)
		}
		changes = append(changes, p)
	}
	return changes, nil
}

// bothKeys are those of the releases of both, broken ones included, ordered.
func bothKeys(before, after *registry.Registry) []registry.Key {
	var keys []registry.Key
	for _, r := range slices.Concat(before.Releases, after.Releases) {
		keys = append(keys, r.Key())
	}
	keys = append(keys, after.BrokenKeys()...)
	slices.SortFunc(keys, func(a, b registry.Key) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(keys)
}

// same says that nothing a release is rendered from changed; a file that can't be read is for its rendering to tell.
func same(before *registry.Registry, was *registry.Release, after *registry.Registry, is *registry.Release) bool {
	if was == nil || is == nil {
		return false
	}
	from, err := was.InputKey(before.FS())
	if err != nil {
		return false
	}
	to, err := is.InputKey(after.FS())
	return err == nil && from == to
}

func offline(renderer *render.Renderer, fsys fs.FS, r *registry.Release) (*render.Output, error) {
	out, err := renderer.Release(fsys, r, image.Placeholder(r.Repository()))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", r.Key(), err)
	}
	return out, nil
}

// difference compares objects; nil stands for none. That a rollout's name is another says nothing to people.
func difference(from, to *render.Output) string {
	text := func(out *render.Output) []byte {
		if out == nil {
			return nil
		}
		if out.Rollout == "" {
			return out.YAML
		}
		return bytes.ReplaceAll(out.YAML, []byte(out.Rollout), []byte("ROLLOUT"))
	}
	return string(diff.Diff("before", text(from), "after", text(to)))
}

func printPlan(w io.Writer, changes []planned) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "no changes")
		return err
	}
	for _, p := range changes {
		line := fmt.Sprintf("%-7s %s", p.Change, p.Release)
		switch {
		case p.From != "" && p.To != "" && p.From != p.To:
			line += ": " + p.From + " → " + p.To
		case p.To != "":
			line += ": " + p.To
		case p.From != "":
			line += ": " + p.From
		}
		if p.Note != "" {
			line += "  " + p.Note
		}
		fmt.Fprintln(w, plainLines(line))
		_, body, _ := strings.Cut(p.Diff, "+++ after\n")
		for l := range strings.Lines(body) {
			fmt.Fprint(w, "    "+plainLines(l))
		}
	}
	n := map[string]int{}
	for _, p := range changes {
		n[p.Change]++
	}
	_, err := fmt.Fprintf(w, "plan: %d to add, %d to change, %d to remove, %d broken\n", n["add"], n["change"], n["remove"], n["broken"])
	return err
}
