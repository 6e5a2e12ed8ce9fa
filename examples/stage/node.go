package stage

import (
	"context"
	"encoding/json"
	"errors"
)

// Node is what a simulated node is made to look like.
type Node struct {
	Name string
	// Devices are extended resources by name, as a device plugin counts them.
	Devices map[string]string
	Labels  map[string]string
	// Taint is the key of one that keeps pods away which do not tolerate it; none when empty.
	Taint string
}

// Dress gives a simulated node its devices, labels and taint.
func (s *Stage) Dress(ctx context.Context, n Node) error {
	spec := map[string]any{}
	if n.Taint != "" {
		spec["taints"] = []map[string]string{{"key": n.Taint, "effect": "NoSchedule"}}
	}
	return errors.Join(
		s.patch(ctx, n.Name, map[string]any{"metadata": map[string]any{"labels": n.Labels}, "spec": spec}),
		s.patch(ctx, n.Name, map[string]any{"status": map[string]any{"capacity": n.Devices, "allocatable": n.Devices}}, "--subresource=status"),
	)
}

func (s *Stage) patch(ctx context.Context, node string, with map[string]any, flags ...string) error {
	text, err := json.Marshal(with)
	if err != nil {
		return err
	}
	_, err = s.Output(ctx, s.Cluster.Bin("kubectl"), append([]string{"patch", "node", node, "--type=merge", "--patch=" + string(text)}, flags...)...)
	return err
}
