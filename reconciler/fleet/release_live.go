package fleet

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// live reads what is in the cluster: objects, pods, and of a pod that failed what it wrote.
func (d *detail) live(ctx context.Context) {
	c := d.Cluster(d.key.Environment)
	if c == nil {
		return
	}
	tree, err := c.Tree(ctx, d.mr, healthOptions(d.wanted()))
	if err != nil {
		d.note("not all objects could be read from the cluster", err)
	}
	live := Live{Pods: []Pod{}, Objects: []Object{}, Older: tree.Older, More: tree.More, Known: err == nil}
	var crashed *cluster.Node
	for _, n := range tree.Pods {
		live.Pods = append(live.Pods, podOf(n))
		if n.Pod.Crashed != "" && n.Health.State != cluster.Ready {
			crashed = n
		}
	}
	for _, n := range tree.Objects {
		live.Objects = drawn(live.Objects, n, 0)
	}
	if r := d.out.Rollout; r != nil && r.Next != "" { // what both revisions share is not known to go
		for i := range live.Objects {
			live.Objects[i].Stale = false
		}
	}
	d.out.Live = live
	if d.v.seesLogs(d.name, d.key.Environment) {
		d.out.Log = d.log(ctx, c, crashed)
	}
}

// log is the end of what failed wrote: of a pod that is there, or else as it was noted.
func (d *detail) log(ctx context.Context, c *cluster.Cluster, crashed *cluster.Node) string {
	if crashed != nil {
		text := c.LastLog(ctx, d.mr.Namespace, crashed.Ref.Name, crashed.Pod.Crashed, crashed.Pod.Previous)
		if text = cmp.Or(text, crashed.Health.LastLog); text != "" {
			return plain(text)
		}
	}
	st := &d.mr.Status
	if st.Held == nil && st.Phase != v1alpha1.Failed {
		return ""
	}
	for _, o := range st.Outcomes {
		if o.Outcome != v1alpha1.Failed && o.Outcome != v1alpha1.RolledBack {
			continue
		}
		if o.Log != "" || st.Held == nil {
			return plain(o.Log)
		}
		if _, written, ok := strings.Cut(st.Held.Reason, o.Message+": "); ok && o.Message != "" {
			return plain(written)
		}
		return ""
	}
	return ""
}

// states are how an object stands, in the words of releases.
var objectStates = map[cluster.State]State{cluster.Ready: Well, cluster.Progressing: Moving, cluster.Waiting: Moving, cluster.Failed: Broken}

// word is an object's state as Kubernetes' own tools would say it.
func word(n *cluster.Node) string {
	switch {
	case n.Deleting:
		return "Deleting"
	case n.Health.State == "":
		return "not known"
	case n.Health.State == cluster.Ready:
		return "Ready"
	}
	return cmp.Or(n.Health.Reason, string(n.Health.State))
}

func podOf(n *cluster.Node) Pod {
	p := n.Pod
	return Pod{
		Name: p.Name, Node: p.Node, Phase: p.Phase, Ready: p.Ready, Containers: p.Containers, Restarts: p.Restarts, Images: p.Images,
		Created: n.Created, GPUs: p.GPUs, Version: p.Version, Rollout: p.Rollout, State: objectStates[n.Health.State], Why: plain(n.Health.Message),
	}
}

// mostDepth is how deep an object may be below others: owners that own each other would have no end.
const mostDepth = 6

// drawn adds an object and those below it.
func drawn(all []Object, n *cluster.Node, depth int) []Object {
	o := Object{
		Depth: depth, Kind: n.Ref.Kind, Group: n.Ref.Group, Name: n.Ref.Name, State: objectStates[n.Health.State], Word: word(n), Why: plain(n.Health.Message),
		Detail: n.Detail, Created: n.Created, Own: n.Own, Stale: n.Ref.Stale,
	}
	if n.Pod != nil {
		o.Detail = fmt.Sprintf("%d of %d ready", n.Pod.Ready, n.Pod.Containers)
	}
	if all = append(all, o); depth < mostDepth {
		for _, below := range n.Below {
			all = drawn(all, below, depth+1)
		}
	}
	return all
}

// drift compares field by field where the watches, or the environment's policy, say that somebody changed something.
func (d *detail) drift(ctx context.Context) {
	c := d.Cluster(d.key.Environment)
	if c == nil || d.mr.Pending() || d.mr.Status.Applied.Commit == "" || len(d.mr.Status.Drift) == 0 && !c.Suspects(d.mr) {
		return
	}
	side := side{commit: d.mr.Status.Applied.Commit, version: d.mr.Status.Applied.Version, image: d.mr.Status.Applied.Image, pullSecrets: d.mr.Status.PullSecrets}
	objects, err := d.render(ctx, d.key, side)
	if err != nil {
		d.note("what somebody changed can't be told: the applied revision can't be rendered here", err)
		return
	}
	found, err := c.Drift(ctx, d.mr, objects.Objects)
	if err != nil {
		d.note("what somebody changed could not be read from the cluster", err)
	}
	for _, o := range found {
		if o.Missing {
			d.out.Drift = append(d.out.Drift, Drift{Object: o.Ref.String()})
		}
		for _, f := range o.Fields {
			d.out.Drift = append(d.out.Drift, Drift{Object: o.Ref.String(), Field: f.Path, Live: plain(f.Live), Wanted: plain(f.Wanted), By: f.Managers})
		}
	}
}
