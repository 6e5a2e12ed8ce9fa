package fleet

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// edits tells what of a release's fields but its version is another. Values of variables may be secret and are not told.
func edits(was, is *registry.Release) (out []Edit) {
	add := func(what, from, to string) {
		if from != to {
			out = append(out, Edit{what, from, to})
		}
	}
	differs := func(what string, from, to any) {
		if !reflect.DeepEqual(from, to) {
			out = append(out, Edit{What: what})
		}
	}
	a, b := was.Serving, is.Serving
	add("model", was.Model.Name, is.Model.Name)
	add("team", was.Team, is.Team)
	add("runtime", was.Runtime.String(), is.Runtime.String())
	add("accelerator", acceleratorOf(was), acceleratorOf(is))
	add("GPUs", strconv.Itoa(was.GPUs()), strconv.Itoa(is.GPUs()))
	add("replicas", replicasOf(was), replicasOf(is))
	add("strategy", a.Rollout.Strategy, b.Rollout.Strategy)
	for _, name := range keysOf(a.Args, b.Args) {
		add("--"+name, argOf(a.Args, name), argOf(b.Args, name))
	}
	for _, name := range keysOf(a.Env, b.Env) {
		differs("variable "+name, a.Env[name], b.Env[name])
	}
	for _, name := range keysOf(a.Resources, b.Resources) {
		add(name, a.Resources[name], b.Resources[name])
	}
	if a.Rollout.Strategy == b.Rollout.Strategy {
		differs("rollout", a.Rollout, b.Rollout)
	}
	differs("route", a.Route, b.Route)
	differs("smoke test", a.SmokeTest, b.SmokeTest)
	differs("dependsOn", a.DependsOn, b.DependsOn)
	differs("its own patches", was.Components, is.Components)
	return out
}

func acceleratorOf(r *registry.Release) string {
	if r.Accelerator == nil {
		return ""
	}
	return r.Accelerator.Name
}

func replicasOf(r *registry.Release) string {
	switch s := r.Serving; {
	case s.Autoscale != nil:
		return fmt.Sprintf("%d to %d by %s", s.Autoscale.Min, s.Autoscale.Max, s.Autoscale.Metric)
	case s.Replicas != nil:
		return strconv.Itoa(*s.Replicas)
	}
	return ""
}

func argOf(args map[string]registry.Arg, name string) string {
	a, ok := args[name]
	if ok && a.True {
		return "true"
	}
	return plain(a.Value)
}

// keysOf are those of both maps, in order.
func keysOf[V any](a, b map[string]V) []string {
	all := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(all)
	return slices.Compact(all)
}

// editCache keeps the edits of commits, which never change.
type editCache struct {
	mu    sync.Mutex
	known map[editKey][]Edit
}

type editKey struct {
	commit  gitops.Hash
	release registry.Key
}

// mostEdits bounds the cache: what people look at again fits.
const mostEdits = 5000

func (c *editCache) get(commit gitops.Hash, key registry.Key) ([]Edit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, ok := c.known[editKey{commit, key}]
	return out, ok
}

func (c *editCache) put(commit gitops.Hash, key registry.Key, edits []Edit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= mostEdits {
		c.known = map[editKey][]Edit{}
	}
	c.known[editKey{commit, key}] = edits
}
