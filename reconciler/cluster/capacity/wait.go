package capacity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Wait is pods that no node has room for.
type Wait struct {
	Release string `json:"release"`
	Object  string `json:"object"`
	// Waiting of Pods find no place.
	Waiting int `json:"waiting"`
	Pods    int `json:"pods"`
	// Rolling says that they wait while the old pods still run, and have room afterwards.
	Rolling bool   `json:"rolling,omitempty"`
	Why     string `json:"why"`
}

func (w Wait) String() string {
	if w.Rolling {
		return fmt.Sprintf("%s: %d of %s more would wait while the old ones run: %s", w.Release, w.Waiting, pods(w.Pods), w.Why)
	}
	return fmt.Sprintf("%s: %d of %s would wait: %s", w.Release, w.Waiting, pods(w.Pods), w.Why)
}

func pods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// wait tells why pods have no place, by what is free at that moment. err is of their device claims.
func (r *room) wait(pl *places, err error) Wait {
	w := Wait{Release: pl.release.Name, Object: pl.pods.Object, Waiting: pl.left, Pods: pl.of, Rolling: pl.surge}
	parts := []string{pl.pods.wants()}
	if err != nil {
		w.Why = parts[0] + "; " + err.Error()
		return w
	}
	w.Why = strings.Join(append(parts, r.why(pl.pods)...), "; ")
	return w
}

// wants is "8 × nvidia.com/gpu each on nodes with …", or what a pod without devices needs.
func (p *Pods) wants() string {
	var parts, with []string
	asks := p.asks()
	for _, a := range asks {
		parts = append(parts, fmt.Sprintf("%d × %s", a.n, cmp.Or(a.Resource, a.DeviceClass)))
		if a.Selector != "" {
			with = append(with, a.Selector)
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if v := p.Needs[name]; v > 0 && len(asks) == 0 {
			parts = append(parts, string(name)+" "+text(name, v))
		}
	}
	out := "nothing requested"
	if len(parts) > 0 {
		out = strings.Join(parts, " and ") + " each"
	}
	if len(with) > 0 {
		out += " with " + strings.Join(with, " and ")
	}
	if where := nodesText(&p.template.Spec); where != "" {
		out += " on nodes with " + where
	}
	return out
}

// why says what each node that could be meant lacks.
func (r *room) why(p *Pods) (parts []string) {
	bars := map[string]int{}
	var open []*Node
	named := 0
	for _, n := range r.state.Nodes {
		bar := r.bars(p, n)
		if bar != barSelector {
			named++
		}
		if bar == "" {
			open = append(open, n)
		} else {
			bars[bar]++
		}
	}
	switch {
	case len(r.state.Nodes) == 0:
		return []string{"the cluster has no node"}
	case named == 0:
		return []string{"there is no such node among the cluster's " + fmt.Sprint(len(r.state.Nodes))}
	}
	if len(open) > 0 {
		parts = append(parts, r.shortages(p, open)...)
	}
	for _, bar := range slices.Sorted(maps.Keys(bars)) {
		n, is, has := bars[bar], "is", "has"
		if n > 1 {
			is, has = "are", "have"
		}
		if taint, ok := strings.CutPrefix(bar, barTaint); ok {
			parts = append(parts, fmt.Sprintf("%s %s the taint %s, which it does not tolerate", nodes(n), has, taint))
		} else if bar != barSelector {
			parts = append(parts, fmt.Sprintf("%s %s %s", nodes(n), is, bar))
		}
	}
	return parts
}

// shortages tells of each resource that is short: how much is free, and where most of it.
func (r *room) shortages(p *Pods, open []*Node) (parts []string) {
	short := map[corev1.ResourceName]bool{}
	for _, n := range open {
		// A node lacks what it lacks most of all: where no device is left, its memory is of no interest.
		if lacks := r.free[n.Object.Name].lacks(p.Needs); len(lacks) > 0 {
			short[lacks[0]] = true
		}
	}
	for _, name := range p.Needs.names() {
		if short[name] {
			parts = append(parts, r.shortage(name, open))
		}
	}
	switch {
	case len(p.Claims) == 0:
	case !r.known.Served:
		parts = append(parts, "the cluster has no resource.k8s.io/v1")
	case len(r.known.Slices) == 0:
		parts = append(parts, "no driver offers a device")
	case len(parts) == 0:
		parts = append(parts, "no node has as many such devices free")
	}
	return parts
}

func (r *room) shortage(name corev1.ResourceName, open []*Node) string {
	var has, free, most int64
	on, with := 0, 0
	for _, n := range open {
		have, left := n.Has[name], max(r.free[n.Object.Name][name], 0)
		has, free, most = has+have, free+left, max(most, left)
		if have > 0 {
			with++
		}
		if left > 0 {
			on++
		}
	}
	switch what := string(name); {
	case has == 0:
		return "no such node has " + what
	case !isDevice(name):
		return fmt.Sprintf("at most %s of %s is free on one node", text(name, most), what)
	case free == 0:
		return fmt.Sprintf("none of %d on %s is free", has, nodes(with))
	case on == 1:
		return fmt.Sprintf("%d of %d free, on 1 node", free, has)
	default:
		return fmt.Sprintf("%d of %d free on %s, at most %d on one", free, has, nodes(on), most)
	}
}
