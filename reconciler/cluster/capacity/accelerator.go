package capacity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
)

// Accelerator is a kind of device as pods ask for it: a resource that a device plugin counts or a class of devices
// that a driver offers, and what picks the product.
type Accelerator struct {
	Resource    string `json:"resource,omitempty"`
	DeviceClass string `json:"deviceClass,omitempty"`
	// Selector is the CEL expressions a device has to satisfy, joined by "&&".
	Selector string `json:"selector,omitempty"`
	// Nodes is what a pod's node selector and required node affinity want of a node.
	Nodes string `json:"nodes,omitempty"`
}

func (a Accelerator) String() string {
	text := cmp.Or(a.Resource, a.DeviceClass)
	if a.Selector != "" {
		text += " with " + a.Selector
	}
	if a.Nodes != "" {
		text += " on " + a.Nodes
	}
	return text
}

// ask is how many of an accelerator one pod wants.
type ask struct {
	Accelerator
	n     int64
	claim *resourcev1.ResourceClaim // for one device of a class, as a probe of what there is
}

// asks lists what one of the pods wants. Of a request with alternatives the first counts; one for all devices of a
// node counts none.
func (p *Pods) asks() (all []ask) {
	nodes := nodesText(&p.template.Spec)
	for _, name := range p.Needs.names() {
		if isDevice(name) && p.Needs[name] > 0 {
			all = append(all, ask{Accelerator: Accelerator{Resource: string(name), Nodes: nodes}, n: p.Needs[name]})
		}
	}
	for _, claim := range p.Claims {
		for _, r := range claim.Spec.Devices.Requests {
			want := exactly(r)
			if want == nil || want.AllocationMode == resourcev1.DeviceAllocationModeAll || want.AdminAccess != nil && *want.AdminAccess {
				continue
			}
			all = append(all, ask{
				Accelerator: Accelerator{DeviceClass: want.DeviceClassName, Selector: selectorText(want.Selectors), Nodes: nodes},
				n:           want.Count, claim: oneDevice(*want),
			})
		}
	}
	return all
}

func selectorText(selectors []resourcev1.DeviceSelector) string {
	var parts []string
	for _, s := range selectors {
		if s.CEL != nil {
			parts = append(parts, strings.Join(strings.Fields(s.CEL.Expression), " "))
		}
	}
	return strings.Join(parts, " && ")
}

// nodesText is what a pod wants of its node, in the words of kubectl's selectors.
func nodesText(spec *corev1.PodSpec) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		parts = append(parts, key+"="+spec.NodeSelector[key])
	}
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		var terms []string
		for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			terms = append(terms, termText(t))
		}
		parts = append(parts, strings.Join(terms, " or "))
	}
	return strings.Join(parts, ",")
}

func termText(t corev1.NodeSelectorTerm) string {
	var parts []string
	for _, r := range slices.Concat(t.MatchExpressions, t.MatchFields) {
		switch values := strings.Join(r.Values, ","); {
		case r.Operator == corev1.NodeSelectorOpExists:
			parts = append(parts, r.Key)
		case r.Operator == corev1.NodeSelectorOpDoesNotExist:
			parts = append(parts, "!"+r.Key)
		case r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1:
			parts = append(parts, r.Key+"="+values)
		case r.Operator == corev1.NodeSelectorOpGt:
			parts = append(parts, r.Key+">"+values)
		case r.Operator == corev1.NodeSelectorOpLt:
			parts = append(parts, r.Key+"<"+values)
		default:
			parts = append(parts, fmt.Sprintf("%s %s (%s)", r.Key, strings.ToLower(string(r.Operator)), values))
		}
	}
	return strings.Join(parts, ",")
}

// Accelerators are the kinds of devices that pods ask for.
func Accelerators(pods []Pods) (all []Accelerator) {
	for i := range pods {
		for _, a := range pods[i].asks() {
			if !slices.Contains(all, a.Accelerator) {
				all = append(all, a.Accelerator)
			}
		}
	}
	return all
}
