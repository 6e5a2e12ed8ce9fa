package capacity

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUnasked counts what nodes have and no row names, by product.
func TestUnasked(t *testing.T) {
	node := func(name, product string, used int64) *Node {
		o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"nvidia.com/gpu.product": product}}}
		o.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		return &Node{Object: o, Has: Amounts{"nvidia.com/gpu": 8, "cpu": 1000}, Used: Amounts{"nvidia.com/gpu": used}}
	}
	cordoned := node("d", "A100", 0)
	cordoned.Object.Spec.Unschedulable = true
	s := &State{
		Nodes:   []*Node{node("a", "H100", 0), node("b", "A100", 2), node("c", "A100", 0), cordoned},
		Running: []Running{{Node: "b", Needs: Amounts{"nvidia.com/gpu": 5}}},
	}
	asked := []Row{{Accelerator: Accelerator{Resource: "nvidia.com/gpu", Nodes: "nvidia.com/gpu.product=H100"}}}
	got := Unasked(s, asked)
	if len(got) != 1 || got[0].Nodes != "nvidia.com/gpu.product=A100" || got[0].Has != 24 || got[0].Free != 9 {
		t.Errorf("%+v", got)
	}
	if got := Unasked(s, []Row{{Accelerator: Accelerator{Resource: "nvidia.com/gpu"}}}); len(got) != 0 {
		t.Errorf("%+v: it is asked for on any node", got)
	}
}
