package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/reconciler/cluster/capacity"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// environmentCapacity is whether a cluster has what one environment's releases ask for.
type environmentCapacity struct {
	Environment  string         `json:"environment"`
	Server       string         `json:"server"`
	Accelerators []capacity.Row `json:"accelerators"`
	// Waits are the pods that would find no place.
	Waits []capacity.Wait `json:"waits"`
	// Unchecked tells of what was not looked at.
	Unchecked []string `json:"unchecked"`
	// Missing is what the environment declares and the cluster lacks.
	Missing []registry.Fault `json:"missing"`
}

// asking is one release before a change and after it.
type asking struct {
	key           registry.Key
	before, after *capacity.Release // nil when it is not there
}

// capacity asks the kubeconfig's cluster, for each environment that has a selected release.
func (a *app) capacity(ctx context.Context, before, after *registry.Registry, match func(registry.Key) bool) ([]environmentCapacity, error) {
	releases, err := askings(before, after, match)
	if err != nil {
		return nil, err
	}
	config, err := a.rest()
	if err != nil {
		return nil, err
	}
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	apis, err := target.APIs(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster at %s: %w; leave --server out to plan without one", config.Host, err)
	}
	state, err := target.Capacity(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster at %s what it has: %w", config.Host, err)
	}
	var all []capacity.Release
	for _, r := range releases {
		all = append(all, r.planned()...)
	}
	waits, err := capacity.Fit(ctx, state, all) // together: environments may share a cluster
	if err != nil {
		return nil, err
	}
	out := []environmentCapacity{}
	for part := range environments(releases) {
		name := part[0].key.Environment
		c := environmentCapacity{Environment: name, Server: config.Host, Waits: []capacity.Wait{}, Unchecked: []string{}, Missing: []registry.Fault{}}
		var now, then []capacity.Release
		for _, r := range part {
			if r.before != nil {
				now = append(now, *r.before)
			}
			if r.after != nil {
				then = append(then, *r.after)
				c.Unchecked = append(c.Unchecked, unchecked(r.after)...)
			}
		}
		if c.Accelerators, err = capacity.Table(ctx, state, now, then); err != nil {
			return nil, err
		}
		for _, w := range waits {
			if strings.HasPrefix(w.Release, name+"/") {
				c.Waits = append(c.Waits, w)
			}
		}
		if env := after.Environments[name]; env != nil {
			c.Missing = append(c.Missing, missing(after, env, apis, len(state.Devices.Slices) > 0)...)
		}
		out = append(out, c)
	}
	return out, nil
}

// environments yields the releases of each, which are ordered by key.
func environments(releases []asking) func(func([]asking) bool) {
	return func(yield func([]asking) bool) {
		for len(releases) > 0 {
			n := slices.IndexFunc(releases, func(r asking) bool { return r.key.Environment != releases[0].key.Environment })
			if n < 0 {
				n = len(releases)
			}
			if !yield(releases[:n]) {
				return
			}
			releases = releases[n:]
		}
	}
}

// askings renders the selected releases of both registries, ordered by key.
func askings(before, after *registry.Registry, match func(registry.Key) bool) ([]asking, error) {
	keys := slices.DeleteFunc(plan.Keys(before, after), func(k registry.Key) bool { return !match(k) })
	out := make([]asking, len(keys))
	var renderer render.Renderer
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i, key := range keys {
		work.Go(func() (err error) {
			out[i], err = ask(&renderer, before, after, key)
			return err
		})
	}
	return out, work.Wait()
}

// ask is what a release asks for. One that has a fault, or does not render, stays as it was.
func ask(renderer *render.Renderer, before, after *registry.Registry, key registry.Key) (asking, error) {
	out := asking{key: key}
	was, is := before.Release(key), after.Release(key)
	var err error
	if was != nil {
		if out.before, err = demand(renderer, before, was); err != nil {
			return out, err
		}
	}
	if is != nil {
		if plan.Same(before, was, after, is) {
			out.after = out.before
			return out, nil
		}
		if out.after, err = demand(renderer, after, is); err != nil {
			return out, err
		}
	}
	if _, broken := after.Broken[key]; broken || is != nil && out.after == nil {
		out.after = out.before
		return out, nil
	}
	if out.after != nil && out.before != nil {
		out.after.Rolls, out.after.Whole = capacity.Replace(out.before.Pods, out.after.Pods)
		out.after.Fewer = capacity.Fewer(out.before.Pods, out.after.Pods)
	}
	return out, nil
}

// demand is nil for a release that does not render: the plan tells why.
func demand(renderer *render.Renderer, models *registry.Registry, r *registry.Release) (*capacity.Release, error) {
	rendered, err := renderer.Release(models.FS(), r, image.Placeholder(r.Repository()))
	if err != nil {
		return nil, nil
	}
	pods, err := capacity.Demand(rendered.Objects)
	if err != nil {
		return nil, fmt.Errorf("reading what %s asks for: %w", r.Key(), err)
	}
	return &capacity.Release{Name: r.Key().String(), Namespace: r.Environment.Spec.Namespace, Label: r.Name, Pods: pods}, nil
}

// planned is what has to find a place. A release that goes gives its places back; one that moves to another namespace
// only when it is healthy there.
func (r asking) planned() (all []capacity.Release) {
	if r.after != nil {
		all = append(all, *r.after)
	}
	if r.before != nil && r.after == nil {
		all = append(all, capacity.Release{Name: r.before.Name, Namespace: r.before.Namespace, Label: r.before.Label, Rolls: true})
	}
	return all
}

func unchecked(r *capacity.Release) (lines []string) {
	for _, p := range r.Pods {
		for _, name := range p.Unknown {
			lines = append(lines, fmt.Sprintf("%s: the device claim %q of %s is made elsewhere and was not checked", r.Name, name, p.Object))
		}
	}
	return lines
}

// printCapacity shows a table per environment, and below it what would wait.
func printCapacity(w io.Writer, all []environmentCapacity) error {
	for _, c := range all {
		fmt.Fprintf(w, "\n%s, on %s\n", c.Environment, c.Server)
		var rows [][]any
		for _, r := range c.Accelerators {
			after := fmt.Sprint(r.AskedAfter)
			if d := r.AskedAfter - r.AskedNow; d != 0 {
				after += fmt.Sprintf(" (%+d)", d)
			}
			if r.Rolling > r.AskedAfter {
				after += fmt.Sprintf(", %d while it rolls out", r.Rolling)
			}
			rows = append(rows, []any{cut(r.String(), 100), r.AskedNow, after, r.Has, r.Free})
		}
		if len(rows) == 0 {
			fmt.Fprintln(w, "no accelerator is asked for")
		} else if err := printData(w, "table", nil, []any{"ACCELERATOR", "ASKED NOW", "ASKED AFTER", "HAS", "FREE"}, rows); err != nil {
			return err
		}
		for _, wait := range c.Waits {
			fmt.Fprintln(w, wait)
		}
		if len(c.Waits) == 0 {
			fmt.Fprintln(w, "every pod finds a place")
		}
		for _, line := range c.Unchecked {
			fmt.Fprintln(w, line)
		}
	}
	return nil
}

// cut shortens a text that would make a table too wide.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
