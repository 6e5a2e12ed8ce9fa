package capacity

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/dynamic-resource-allocation/structured"
	"k8s.io/klog/v2"
)

// room is what is free while pods are placed.
type room struct {
	state *State
	nodes map[string]*Node
	free  map[string]Amounts
	devices
}

// newRoom has all running pods in their places.
func newRoom(s *State) *room {
	r := &room{state: s, nodes: map[string]*Node{}, free: map[string]Amounts{}, devices: newDevices(&s.Devices)}
	for _, n := range s.Nodes {
		r.nodes[n.Object.Name] = n
		free := maps.Clone(n.Has)
		free.Add(n.Used, -1)
		r.free[n.Object.Name] = free
	}
	others := maps.Clone(s.Devices.Held) // claims that no pod of Running's goes with
	for _, p := range s.Running {
		r.hold(p)
		for _, claim := range p.Claims {
			delete(others, claim)
		}
	}
	r.devices.hold(slices.Collect(maps.Keys(others)))
	return r
}

func (r *room) hold(p Running) {
	if free := r.free[p.Node]; free != nil {
		free.Add(p.Needs, -1)
	}
	r.devices.hold(p.Claims)
}

func (r *room) release(p Running) {
	if free := r.free[p.Node]; free != nil {
		free.Add(p.Needs, 1)
	}
	r.devices.release(p.Claims)
}

// place puts one pod on a node, if it fits there.
func (r *room) place(ctx context.Context, p *Pods, n *Node) (bool, error) {
	free := r.free[n.Object.Name]
	if !free.cover(p.Needs) || r.bars(p, n) != "" { // the cheaper question first
		return false, nil
	}
	if ok, err := r.devices.place(ctx, p.Claims, n.Object); !ok || err != nil {
		return false, err
	}
	free.Add(p.Needs, -1)
	return true, nil
}

// The reasons for which a node takes no pod, whatever room it has.
const (
	barSelector = "selector"
	barNotReady = "not ready"
	barCordoned = "cordoned"
	barTaint    = "taint " // and the taint
)

// bars says why a pod may not run on a node; "" when it may.
func (r *room) bars(p *Pods, n *Node) string {
	node := n.Object
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: p.template.Spec}).Match(node); !ok || err != nil {
		return barSelector
	}
	if !ready(node) {
		return barNotReady
	}
	if node.Spec.Unschedulable {
		return barCordoned
	}
	taint, yes := schedulinghelper.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, p.template.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
	if yes {
		return barTaint + taint.ToString()
	}
	return ""
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// count is how many devices of an accelerator there are on the nodes its pods name, and how many are free on those
// that would take one of them.
func (r *room) count(ctx context.Context, a ask, pods []*Pods) (has, free int64, err error) {
	claim := a.claim
	if class := r.state.offers(corev1.ResourceName(a.Resource)); claim == nil && class != "" {
		claim = oneDevice(resourcev1.ExactDeviceRequest{DeviceClassName: class})
	}
	all, left := newDevices(&Devices{Served: r.known.Served, Slices: r.known.Slices, Classes: r.known.Classes}), r.devices.clone()
	for _, n := range r.state.Nodes {
		named, open := false, false
		for _, p := range pods {
			bar := r.bars(p, n)
			named, open = named || bar != barSelector, open || bar == ""
		}
		if !named {
			continue
		}
		if claim == nil {
			has += n.Has[corev1.ResourceName(a.Resource)]
			if open {
				free += max(r.free[n.Object.Name][corev1.ResourceName(a.Resource)], 0)
			}
			continue
		}
		there, err := all.exhaust(ctx, claim, n.Object)
		if err != nil {
			return 0, 0, err
		}
		has += there
		if open {
			there, err := left.exhaust(ctx, claim, n.Object)
			if err != nil {
				return 0, 0, err
			}
			free += there
		}
	}
	return has, free, nil
}

// translated has device claims in place of resources that no device plugin counts and a class of devices stands for.
func (s *State) translated(p Pods) Pods {
	for _, name := range p.Needs.names() {
		class := ""
		if isDevice(name) && p.Needs[name] > 0 {
			class = s.offers(name)
		}
		if class == "" {
			continue
		}
		claim := oneDevice(resourcev1.ExactDeviceRequest{DeviceClassName: class})
		claim.Name = string(name)
		claim.Spec.Devices.Requests[0].Exactly.Count = p.Needs[name]
		p.Needs, p.Claims = maps.Clone(p.Needs), append(slices.Clip(p.Claims), claim)
		delete(p.Needs, name)
	}
	return p
}

// device is how an allocation names one.
func device(r resourcev1.DeviceRequestAllocationResult) structured.DeviceID {
	return structured.MakeDeviceID(r.Driver, r.Pool, r.Device)
}
