package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/reconciler/why"
	"github.com/davit-dev/davit/registry"
)

func whyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "why KIND/NAME [FIELD]",
		Short: "Show the commit, its author and the lines of files behind an object or a field",
		Long: "Names the commit that made an object, or one field of it, what it is, and the lines that say so. Nothing\n" +
			"is guessed: the release is rendered with and without each change. From a plain clone it tells of the\n" +
			"branch; with a cluster of what is applied there, and a pod or another object that a workload made leads to\n" +
			"the workload.",
		Example: "  davit why deployment/iris -n production\n" +
			"  davit why deploy/iris -n production spec.replicas\n" +
			"  davit why deployment.apps/iris -n production 'spec.template.spec.containers[server].image'",
		Args: cobra.RangeArgs(1, 2),
	}
	format := outputFlag(c, "text", "json", "yaml")
	namespace := c.Flags().StringP("namespace", "n", "", "the object's namespace")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(briefGC)
		}
		object, err := why.ParseObject(args[0])
		if err != nil {
			return usage{err}
		}
		w := &inquiry{app: a, cmd: cmd, object: object, namespace: *namespace}
		if len(args) == 2 {
			if w.field, err = why.ParsePath(args[1]); err != nil {
				return usage{err}
			}
		}
		origin, err := w.answer()
		if err != nil {
			return err
		}
		if *format != "text" {
			return printData(cmd.OutOrStdout(), *format, origin, nil, nil)
		}
		return origin.print(cmd.OutOrStdout())
	}
	return c
}

// briefGC halves the time of a command that renders some hundred times and ends; it costs 50 MiB.
const briefGC = 400

// inquiry is one call of davit why.
type inquiry struct {
	app       *app
	cmd       *cobra.Command
	object    why.Object
	field     why.Path
	namespace string

	source   *gitops.Source
	snapshot *gitops.Snapshot // of the branch's tip
	places   map[string]string
}

// answer asks the cluster first, where there is one: what runs counts.
func (w *inquiry) answer() (*origin, error) {
	ctx := w.cmd.Context()
	if err := w.open(ctx); err != nil {
		return nil, err
	}
	live, err := w.live(ctx)
	if err != nil {
		return nil, err
	}
	if live != nil {
		return w.applied(ctx, live)
	}
	key, err := w.find()
	if err != nil {
		return nil, err
	}
	answer, err := why.Ask(ctx, w.source, why.Question{Tip: w.snapshot.Hash(), Release: key, Object: w.object, Field: w.field})
	if err != nil {
		return nil, err
	}
	out := w.origin(key, answer)
	out.At = w.snapshot.Hash().String()
	return out, nil
}

// open reads the environments at the tip: an environment's releases are in one namespace.
func (w *inquiry) open(ctx context.Context) (err error) {
	rev := w.app.rev
	if rev == "" {
		rev = "HEAD"
	}
	if w.source, err = w.app.source(ctx); err != nil {
		return err
	}
	tip, err := w.source.Resolve(ctx, rev)
	if err != nil {
		return err
	}
	if w.snapshot, err = w.source.Snapshot(ctx, tip); err != nil {
		return err
	}
	models, err := registry.LoadRelease(w.snapshot, registry.Key{})
	if err != nil {
		return err
	}
	w.places = map[string]string{}
	for name, env := range models.Environments {
		w.places[name] = env.Spec.Namespace
	}
	return nil
}

// find is the release at the tip that has the object. All objects of a release bear its name, or begin with it.
func (w *inquiry) find() (registry.Key, error) {
	var has, near []registry.Key
	var broken error
	for _, env := range slices.Sorted(maps.Keys(w.places)) {
		if w.namespace != "" && w.places[env] != w.namespace {
			continue
		}
		for name := w.object.Name; name != ""; name = name[:max(strings.LastIndexByte(name, '-'), 0)] {
			key := registry.Key{Environment: env, Name: name}
			found, fault, err := why.Has(w.snapshot, key, w.object)
			if err != nil {
				return key, err
			}
			if fault != nil && broken == nil {
				broken = fmt.Errorf("%s has a fault at %.12s: %w; ask of a commit before it with --rev", key, w.snapshot.Hash(), fault)
			}
			if found {
				has = append(has, key)
				break
			}
			near = append(near, key)
		}
	}
	switch {
	case len(has) == 1:
		return has[0], nil
	case len(has) > 1:
		var each []string
		for _, key := range has {
			each = append(each, fmt.Sprintf("-n %s (%s)", w.places[key.Environment], key))
		}
		return has[0], usage{fmt.Errorf("%s is in several environments; pass %s", w.object, join(each))}
	case broken != nil:
		return registry.Key{}, broken
	}
	return registry.Key{}, w.unknown(near)
}

// unknown says what there is in place of an object that no release has.
func (w *inquiry) unknown(near []registry.Key) error {
	where := "any environment"
	if w.namespace != "" {
		where = "namespace " + w.namespace
		if !slices.Contains(slices.Collect(maps.Values(w.places)), w.namespace) {
			return fmt.Errorf("no environment is in namespace %s (they are in %s)", w.namespace,
				strings.Join(slices.Compact(slices.Sorted(maps.Values(w.places))), ", "))
		}
	}
	for _, key := range near {
		if titles := why.Objects(w.snapshot, key); titles != nil {
			text := fmt.Sprintf("%s has no %s at %.12s; it has %s", key, w.object, w.snapshot.Hash(), strings.Join(titles, ", "))
			if w.object.IsKind("Pod", "") || w.object.IsKind("ReplicaSet", "apps") {
				text += "; what workloads make is known to a cluster: pass --kubeconfig"
			}
			return fmt.Errorf("%s", text)
		}
	}
	return fmt.Errorf("no release in %s has %s at %.12s; davit render prints what there is", where, w.object, w.snapshot.Hash())
}

// origin puts an answer into the form that is printed.
func (w *inquiry) origin(key registry.Key, a *why.Answer) *origin {
	out := &origin{
		Object: a.Object, Namespace: a.Release.Environment.Spec.Namespace, Release: key.String(), Version: a.Release.ModelVersion.Name,
		Field: w.field.String(), Value: a.Value, Removed: a.Removed, ByPin: a.Pinned, Created: a.Created, Commit: said(a.Commit), Davit: a.Davit, Lines: []saidLine{}, Files: a.Files,
	}
	if a.Written != nil {
		written := said(*a.Written)
		out.Written = &written
	}
	for _, l := range a.Lines {
		out.Lines = append(out.Lines, saidLine{Path: l.Path, Line: l.Number, Text: l.Text, Gone: l.Gone, Commit: said(l.Commit)})
	}
	return out
}

// statusOf is the ModelRelease of an object in the cluster; nil when it is gone or may not be read.
func (l *liveObject) statusOf(ctx context.Context) *v1alpha1.ModelRelease {
	mr, err := l.cluster.Release(ctx, l.namespace, l.key.Environment, l.key.Name)
	if err != nil {
		return nil
	}
	return mr
}
