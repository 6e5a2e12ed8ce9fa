package capacity

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// products are the labels by which nodes tell what their devices are: NVIDIA's and AMD's feature discovery.
var products = []string{"nvidia.com/gpu.product", "amd.com/gpu.product-name", "gpu.intel.com/product"}

// Unasked counts the devices of device plugins on nodes that none of rows names.
func Unasked(s *State, rows []Row) []Row {
	found := map[Accelerator]*Row{}
	for _, n := range s.Nodes {
		for name, has := range n.Has {
			if !isDevice(name) || has == 0 || named(rows, name, n.Object) {
				continue
			}
			a := Accelerator{Resource: string(name)}
			for _, label := range products {
				if product := n.Object.Labels[label]; product != "" {
					a.Nodes = label + "=" + product
					break
				}
			}
			if found[a] == nil {
				found[a] = &Row{Accelerator: a}
			}
			found[a].Has += has
			if ready(n.Object) && !n.Object.Spec.Unschedulable {
				found[a].Free += max(has-n.Used[name]-s.running(n, name), 0)
			}
		}
	}
	var out []Row
	for _, row := range found {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.String(), b.String()) })
	return out
}

// running is how many of a node's devices pods of releases hold.
func (s *State) running(n *Node, name corev1.ResourceName) (held int64) {
	for _, p := range s.Running {
		if p.Node == n.Object.Name {
			held += p.Needs[name]
		}
	}
	return held
}

// named says whether one of the rows is of a resource on a node like this one.
func named(rows []Row, name corev1.ResourceName, node *corev1.Node) bool {
	return slices.ContainsFunc(rows, func(r Row) bool {
		if r.Resource != string(name) {
			return false
		}
		wants, err := labels.Parse(r.Nodes)
		return err != nil || wants.Matches(labels.Set(node.Labels))
	})
}
