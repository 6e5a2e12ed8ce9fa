package capacity

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
	"sigs.k8s.io/yaml"
)

// node is a node of a product with so many GPUs.
func node(t testing.TB, name, product string, gpus int, more string) *Node {
	t.Helper()
	text := fmt.Sprintf(`metadata: {name: %s, labels: {gpu: %s}}
status:
  allocatable: {cpu: 32, memory: 256Gi, pods: 110, nvidia.com/gpu: %d}
  conditions: [{type: Ready, status: "True"}]
%s`, name, product, gpus, more)
	o := &corev1.Node{}
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return &Node{Object: o, Has: AmountsOf(o.Status.Allocatable), Used: Amounts{}}
}

// served is a StatefulSet of n pods.
func served(n int, pod string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: llama}\nspec: {replicas: %d, template: {spec: %s}}", n, pod)
}

func gpus(product string, n int) string {
	return fmt.Sprintf(`{nodeSelector: {gpu: %s}, containers: [{name: a, resources: {limits: {nvidia.com/gpu: %d}}}]}`, product, n)
}

func release(t testing.TB, name, text string) Release {
	r := Release{Name: "production/" + name, Namespace: "production", Label: name}
	if text != "" {
		r.Pods = podsIn(t, text)
	}
	return r
}

// runs is n pods of a release on a node.
func runs(name, node string, n int, gpus int64) (all []Running) {
	for range n {
		all = append(all, Running{Namespace: "production", Release: name, Node: node, Needs: Amounts{"nvidia.com/gpu": gpus, "pods": 1}})
	}
	return all
}

func wantWaits(t *testing.T, s *State, releases []Release, want ...string) {
	t.Helper()
	waits, err := Fit(t.Context(), s, releases)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range waits {
		got = append(got, w.String())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFit(t *testing.T) {
	two := func() *State { return &State{Nodes: []*Node{node(t, "a", "h100", 8, ""), node(t, "b", "h100", 8, "")}} }
	rolls := func(r Release) Release { r.Rolls = true; return r }

	t.Run("all fit", func(t *testing.T) {
		wantWaits(t, two(), []Release{release(t, "llama", served(2, gpus("h100", 8)))})
	})
	t.Run("more than there is", func(t *testing.T) {
		wantWaits(t, two(), []Release{release(t, "llama", served(4, gpus("h100", 8)))},
			"production/llama: 2 of 4 pods would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	})
	t.Run("fragments", func(t *testing.T) {
		s := two()
		s.Running = append(runs("other", "a", 1, 4), runs("other", "b", 1, 2)...)
		wantWaits(t, s, []Release{release(t, "llama", served(1, gpus("h100", 8)))},
			"production/llama: 1 of 1 pod would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; 10 of 16 free on 2 nodes, at most 6 on one")
	})
	t.Run("the largest first", func(t *testing.T) {
		s := &State{Nodes: []*Node{node(t, "a", "h100", 8, ""), node(t, "b", "h100", 4, "")}}
		wantWaits(t, s, []Release{release(t, "a-small", served(2, gpus("h100", 2))), release(t, "z-large", served(1, gpus("h100", 8)))})
	})
	t.Run("pods of others count", func(t *testing.T) {
		s := two()
		s.Nodes[0].Used = Amounts{"nvidia.com/gpu": 7}
		s.Nodes[1].Used = Amounts{"nvidia.com/gpu": 8}
		wantWaits(t, s, []Release{release(t, "llama", served(2, gpus("h100", 1)))},
			"production/llama: 1 of 2 pods would wait: 1 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	})
	t.Run("its own pods make room in place", func(t *testing.T) {
		s := two()
		s.Running = append(runs("llama", "a", 1, 8), runs("llama", "b", 1, 8)...)
		wantWaits(t, s, []Release{rolls(release(t, "llama", served(2, gpus("h100", 8))))})
	})
	t.Run("what stays keeps its place, and the pods it lacks look for one", func(t *testing.T) {
		s := two()
		s.Running = append(runs("llama", "a", 1, 8), runs("other", "b", 1, 8)...)
		wantWaits(t, s, []Release{release(t, "llama", served(2, gpus("h100", 8)))},
			"production/llama: 1 of 2 pods would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	})
	t.Run("no more than the autoscaler may", func(t *testing.T) {
		s := two()
		s.Running = append(runs("llama", "a", 2, 4), runs("llama", "b", 2, 4)...)
		text := served(1, gpus("h100", 4)) + "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: llama}\n" +
			"spec: {scaleTargetRef: {kind: StatefulSet, name: llama}, minReplicas: 1, maxReplicas: 3}"
		wantWaits(t, s, []Release{rolls(release(t, "llama", text)), release(t, "new", served(1, gpus("h100", 4)))})
	})
	t.Run("a node takes so many pods", func(t *testing.T) {
		s := two()
		s.Nodes[0].Has["pods"], s.Nodes[1].Has["pods"] = 1, 1
		wantWaits(t, s, []Release{release(t, "llama", served(3, gpus("h100", 1)))},
			"production/llama: 1 of 3 pods would wait: 1 × nvidia.com/gpu each on nodes with gpu=h100; at most 0 of pods is free on one node")
	})
	t.Run("what admission changed of a pod does not replace it", func(t *testing.T) {
		s := two()
		s.Nodes[0].Used, s.Nodes[1].Used = Amounts{"cpu": 20_000}, Amounts{"cpu": 20_000}
		s.Running = runs("llama", "a", 1, 8)
		wantWaits(t, s, []Release{release(t, "llama", served(1, `{nodeSelector: {gpu: h100}, containers: [{name: a, resources: {limits: {nvidia.com/gpu: 8}, requests: {cpu: 20}}}]}`))})
	})
	t.Run("what runs is of a revision before", func(t *testing.T) {
		s := two()
		s.Running = append(runs("llama", "a", 1, 1), runs("other", "b", 1, 8)...)
		wantWaits(t, s, []Release{release(t, "llama", served(1, gpus("h100", 8)))})
	})
	t.Run("one that grows takes nobody's place", func(t *testing.T) {
		s := &State{Nodes: []*Node{node(t, "a", "h100", 8, "")}, Running: append(runs("a-grows", "a", 1, 4), runs("stays", "a", 1, 4)...)}
		wantWaits(t, s, []Release{rolls(release(t, "a-grows", served(1, gpus("h100", 8)))), rolls(release(t, "stays", served(1, gpus("h100", 4))))},
			"production/a-grows: 1 of 1 pod would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; 4 of 8 free, on 1 node")
	})
	t.Run("a release that gets fewer pods makes room", func(t *testing.T) {
		s := two()
		s.Running = append(runs("old", "a", 1, 8), runs("old", "b", 1, 8)...)
		before, after := release(t, "old", served(2, gpus("h100", 8))), release(t, "old", served(1, gpus("h100", 8)))
		after.Fewer = Fewer(before.Pods, after.Pods)
		next := release(t, "llama", served(1, gpus("h100", 8)))
		wantWaits(t, s, []Release{after, next})
		next.Rolls = true // beside its old pod on one more node
		next.Whole = true
		s.Nodes = append(s.Nodes, node(t, "c", "h100", 8, ""))
		s.Running = append(s.Running, runs("llama", "c", 1, 8)...)
		wantWaits(t, s, []Release{after, next})
		after.Fewer = 0 // what is more than the set has is kept
		wantWaits(t, s, []Release{after, next},
			"production/llama: 1 of 1 pod more would wait while the old ones run: 8 × nvidia.com/gpu each on nodes with gpu=h100; none of 24 on 3 nodes is free")
	})
	t.Run("an autoscaler keeps its pods", func(t *testing.T) {
		scaled := "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: llama}\n" +
			"spec: {scaleTargetRef: {kind: StatefulSet, name: llama}, minReplicas: 1, maxReplicas: 3}"
		two, one := release(t, "llama", served(2, gpus("h100", 4))), release(t, "llama", served(1, gpus("h100", 4))+scaled)
		if n := Fewer(two.Pods, one.Pods); n != 0 {
			t.Errorf("%d pods go", n)
		}
	})
	t.Run("a release that goes makes room", func(t *testing.T) {
		s := two()
		s.Running = append(runs("old", "a", 1, 8), runs("old", "b", 1, 8)...)
		wantWaits(t, s, []Release{rolls(release(t, "old", "")), release(t, "llama", served(2, gpus("h100", 8)))})
	})
	t.Run("a namesake in another namespace is another release", func(t *testing.T) {
		s := &State{Nodes: []*Node{node(t, "a", "h100", 8, "")}, Running: runs("llama", "a", 1, 8)}
		s.Running[0].Namespace = "staging"
		wantWaits(t, s, []Release{rolls(release(t, "llama", served(1, gpus("h100", 8))))},
			"production/llama: 1 of 1 pod would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; none of 8 on 1 node is free")
	})
	t.Run("what an autoscaler made stays", func(t *testing.T) {
		s := two()
		s.Running = append(runs("llama", "a", 1, 8), runs("llama", "b", 1, 8)...)
		text := served(1, gpus("h100", 8)) + "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: llama}\n" +
			"spec: {scaleTargetRef: {kind: StatefulSet, name: llama}, minReplicas: 1, maxReplicas: 3}"
		wantWaits(t, s, []Release{rolls(release(t, "llama", text)), release(t, "new", served(1, gpus("h100", 1)))},
			"production/new: 1 of 1 pod would wait: 1 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	})
}

// TestRolling has room for what is to be, and none, or enough, for what runs beside it meanwhile.
func TestRolling(t *testing.T) {
	surging := func(n, gpu int) string {
		return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: llama}\nspec: {replicas: %d, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, template: {spec: %s}}",
			n, gpus("h100", gpu))
	}
	s := &State{Nodes: []*Node{node(t, "a", "h100", 8, ""), node(t, "b", "h100", 8, "")}}
	s.Running = append(runs("llama", "a", 1, 8), runs("llama", "b", 1, 8)...)
	r := release(t, "llama", surging(2, 8))
	wantWaits(t, s, []Release{r}) // nothing rolls
	for _, want := range []int64{16, 24} {
		rows, err := Table(t.Context(), s, []Release{r}, []Release{r})
		if err != nil || len(rows) != 1 || rows[0].Rolling != want {
			t.Errorf("rolls: %v: %+v %v, want %d while it rolls out", r.Rolls, rows, err, want)
		}
		r.Rolls = true
	}
	wantWaits(t, s, []Release{r},
		"production/llama: 1 of 1 pod more would wait while the old ones run: 8 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	r = release(t, "llama", surging(2, 1))
	r.Rolls = true
	wantWaits(t, s, []Release{r}, // smaller ones have no room either before an old one goes
		"production/llama: 1 of 1 pod more would wait while the old ones run: 1 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")

	s.Running = runs("llama", "a", 2, 1)
	wantWaits(t, s, []Release{r})
	// What is new may take the room for good, and the old ones keep theirs for the time of the rollout only.
	wantWaits(t, s, []Release{r, release(t, "new", served(1, gpus("h100", 8))), release(t, "small", served(6, gpus("h100", 1)))},
		"production/llama: 1 of 1 pod more would wait while the old ones run: 1 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	s.Running = runs("llama", "a", 2, 4)
	wantWaits(t, s, []Release{r, release(t, "new", served(1, gpus("h100", 8))), release(t, "small", served(6, gpus("h100", 1)))},
		"production/llama: 1 of 1 pod more would wait while the old ones run: 1 × nvidia.com/gpu each on nodes with gpu=h100; none of 16 on 2 nodes is free")
	s.Running = runs("llama", "a", 2, 1)
	whole := release(t, "llama", served(2, gpus("h100", 7)))
	whole.Rolls, whole.Whole = true, true
	s.Nodes[1].Used = Amounts{"nvidia.com/gpu": 1}
	wantWaits(t, s, []Release{whole},
		"production/llama: 1 of 2 pods more would wait while the old ones run: 7 × nvidia.com/gpu each on nodes with gpu=h100; 6 of 16 free, on 1 node")
}

// TestWhy has one node of each kind that takes no pod.
func TestWhy(t *testing.T) {
	tainted := "spec: {taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]}"
	s := &State{Nodes: []*Node{
		node(t, "another", "a100", 8, ""), node(t, "cordoned", "h100", 8, "spec: {unschedulable: true}"),
		node(t, "tainted-1", "h100", 8, tainted), node(t, "tainted-2", "h100", 8, tainted),
		node(t, "preferred", "a100", 8, "spec: {taints: [{key: rather-not, effect: PreferNoSchedule}]}"),
	}}
	lost := node(t, "lost", "h100", 8, "")
	lost.Object.Status.Conditions[0].Status = corev1.ConditionUnknown
	s.Nodes = append(s.Nodes, lost)
	wantWaits(t, s, []Release{release(t, "llama", served(1, gpus("h100", 8)))},
		"production/llama: 1 of 1 pod would wait: 8 × nvidia.com/gpu each on nodes with gpu=h100; 1 node is cordoned; 1 node is not ready; "+
			"2 nodes have the taint nvidia.com/gpu=present:NoSchedule, which it does not tolerate")
	wantWaits(t, s, []Release{release(t, "llama", served(2, gpus("a100", 8)))})
	wantWaits(t, s, []Release{release(t, "llama", served(3, `{tolerations: [{key: nvidia.com/gpu, operator: Exists}], nodeSelector: {gpu: h100},
		containers: [{name: a, resources: {limits: {nvidia.com/gpu: 4}, requests: {cpu: 20}}}]}`))},
		"production/llama: 1 of 3 pods would wait: 4 × nvidia.com/gpu each on nodes with gpu=h100; at most 12 of cpu is free on one node; 1 node is cordoned; 1 node is not ready")
	wantWaits(t, s, []Release{release(t, "llama", served(1, `{nodeSelector: {gpu: a100}, containers: [{name: a, resources: {limits: {nvidia.com/gpu: 9}, requests: {memory: 300Gi}}}]}`))},
		"production/llama: 1 of 1 pod would wait: 9 × nvidia.com/gpu each on nodes with gpu=a100; 16 of 16 free on 2 nodes, at most 8 on one")
	wantWaits(t, s, []Release{release(t, "llama", served(1, gpus("b200", 8)))},
		"production/llama: 1 of 1 pod would wait: 8 × nvidia.com/gpu each on nodes with gpu=b200; there is no such node among the cluster's 6")
	wantWaits(t, s, []Release{release(t, "llama", served(1, `{nodeSelector: {gpu: a100}, containers: [{name: a, resources: {limits: {amd.com/gpu: 1}}}]}`))},
		"production/llama: 1 of 1 pod would wait: 1 × amd.com/gpu each on nodes with gpu=a100; no such node has amd.com/gpu")
	wantWaits(t, s, []Release{release(t, "iris", served(1, `{containers: [{name: a, resources: {requests: {memory: 300Gi, cpu: 500m}}}]}`))},
		"production/iris: 1 of 1 pod would wait: cpu 500m and memory 300Gi each; at most 256Gi of memory is free on one node; 1 node is cordoned; 1 node is not ready; "+
			"2 nodes have the taint nvidia.com/gpu=present:NoSchedule, which it does not tolerate")
	wantWaits(t, &State{}, []Release{release(t, "iris", served(1, `{containers: [{name: a}]}`))}, "production/iris: 1 of 1 pod would wait: nothing requested; the cluster has no node")
}

// claimed is a StatefulSet of n pods with a claim for devices of a product.
func claimed(n, count int, product string) string {
	return fmt.Sprintf(`apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: llama-gpu}
spec: {spec: {devices: {requests: [{name: gpu, exactly: {deviceClassName: gpu.example.com, count: %d, selectors: [{cel: {expression: "device.attributes['gpu.example.com'].product == '%s' && device.capacity['gpu.example.com'].memory.compareTo(quantity('40Gi')) >= 0"}}]}}]}}}
---
`, count, product) + served(n, `{resourceClaims: [{name: gpu, resourceClaimTemplateName: llama-gpu}], containers: [{name: a}]}`)
}

const driver = "gpu.example.com"

// offering is a node's devices as a driver tells of them.
func offering(t testing.TB, node, product string, n int) *resourcev1.ResourceSlice {
	t.Helper()
	text := fmt.Sprintf("metadata: {name: %s}\nspec:\n  driver: %s\n  nodeName: %s\n  pool: {name: %s, generation: 1, resourceSliceCount: 1}\n  devices:\n", node, driver, node, node)
	for i := range n {
		text += fmt.Sprintf("  - {name: gpu-%d, attributes: {product: {string: %s}}, capacity: {memory: {value: 80Gi}}}\n", i, product)
	}
	s := &resourcev1.ResourceSlice{}
	if err := yaml.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func withDevices(t testing.TB) *State {
	class := &resourcev1.DeviceClass{}
	if err := yaml.UnmarshalStrict([]byte("metadata: {name: gpu.example.com}\nspec: {extendedResourceName: example.com/gpu, selectors: [{cel: {expression: \"device.driver == 'gpu.example.com'\"}}]}"), class); err != nil {
		t.Fatal(err)
	}
	return &State{
		Nodes: []*Node{node(t, "a", "x", 0, ""), node(t, "b", "x", 0, "")},
		Devices: Devices{
			Served: true, Classes: []*resourcev1.DeviceClass{class}, Slices: []*resourcev1.ResourceSlice{offering(t, "a", "h100", 4), offering(t, "b", "h100", 4)},
			Held: map[string][]structured.DeviceID{},
		},
	}
}

func TestDevices(t *testing.T) {
	const each = "2 × gpu.example.com each with device.attributes['gpu.example.com'].product == '%s' && device.capacity['gpu.example.com'].memory.compareTo(quantity('40Gi')) >= 0; "
	s := withDevices(t)
	wantWaits(t, s, []Release{release(t, "llama", claimed(4, 2, "h100"))})
	wantWaits(t, s, []Release{release(t, "llama", claimed(5, 2, "h100"))},
		"production/llama: 1 of 5 pods would wait: "+fmt.Sprintf(each, "h100")+"no node has as many such devices free")
	wantWaits(t, s, []Release{release(t, "llama", claimed(1, 2, "b200"))},
		"production/llama: 1 of 1 pod would wait: "+fmt.Sprintf(each, "b200")+"no node has as many such devices free")

	s.Devices.Held["elsewhere/gpu"] = []structured.DeviceID{structured.MakeDeviceID(driver, "a", "gpu-0")}
	wantWaits(t, s, []Release{release(t, "llama", claimed(4, 2, "h100"))},
		"production/llama: 1 of 4 pods would wait: "+fmt.Sprintf(each, "h100")+"no node has as many such devices free")
	for i := range 2 {
		s.Running = append(s.Running, Running{Namespace: "production", Release: "llama", Node: "b", Claims: []string{fmt.Sprintf("production/llama-%d", i)}, Needs: Amounts{"pods": 1}})
		s.Devices.Held[fmt.Sprintf("production/llama-%d", i)] = []structured.DeviceID{
			structured.MakeDeviceID(driver, "b", fmt.Sprintf("gpu-%d", 2*i)), structured.MakeDeviceID(driver, "b", fmt.Sprintf("gpu-%d", 2*i+1)),
		}
	}
	r := release(t, "llama", claimed(3, 2, "h100"))
	wantWaits(t, s, []Release{r}) // two of them run
	r.Rolls = true
	wantWaits(t, s, []Release{r}) // and give their devices back

	// A class may stand for a resource that no device plugin counts.
	extended := `{containers: [{name: a, resources: {limits: {example.com/gpu: 3}}}]}`
	wantWaits(t, s, []Release{release(t, "other", served(1, extended))})
	wantWaits(t, s, []Release{release(t, "other", served(2, extended))},
		"production/other: 1 of 2 pods would wait: 3 × gpu.example.com each; no node has as many such devices free")

	wantWaits(t, &State{Nodes: s.Nodes}, []Release{release(t, "llama", claimed(1, 2, "h100"))},
		"production/llama: 1 of 1 pod would wait: "+fmt.Sprintf(each, "h100")+"the cluster has no resource.k8s.io/v1")
	s.Devices.Classes = nil
	wantWaits(t, s, []Release{release(t, "new", claimed(1, 2, "h100"))},
		"production/new: 1 of 1 pod would wait: "+fmt.Sprintf(each, "h100")+`claim gpu, request gpu: could not retrieve device class gpu.example.com: there is no DeviceClass "gpu.example.com"`)
}

func TestTable(t *testing.T) {
	s := withDevices(t)
	s.Nodes = append(s.Nodes, node(t, "c", "h100", 8, ""), node(t, "d", "h100", 8, "spec: {unschedulable: true}"), node(t, "e", "a100", 4, ""), node(t, "f", "b200", 2, "spec: {taints: [{key: a, effect: NoSchedule}]}"))
	s.Nodes[2].Used = Amounts{"nvidia.com/gpu": 2}
	s.Running = runs("llama", "c", 1, 1)
	s.Devices.Held["production/llama"] = []structured.DeviceID{structured.MakeDeviceID(driver, "a", "gpu-3")}
	before := []Release{release(t, "llama", served(1, gpus("h100", 1)))}
	after := []Release{
		release(t, "llama", served(3, gpus("h100", 4))), release(t, "other", claimed(2, 3, "h100")),
		release(t, "any", served(1, `{containers: [{name: a, resources: {limits: {nvidia.com/gpu: 1}}}]}`)),
		release(t, "intolerant", served(1, gpus("b200", 1))),
		release(t, "tolerant", served(1, `{tolerations: [{operator: Exists}], nodeSelector: {gpu: b200}, containers: [{name: a, resources: {limits: {nvidia.com/gpu: 1}}}]}`)),
		release(t, "extended", served(1, `{containers: [{name: a, resources: {limits: {example.com/gpu: 3}}}]}`)),
	}
	rows, err := Table(t.Context(), s, before, after)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%.40s: %d %d %d %d", r, r.AskedNow, r.AskedAfter, r.Has, r.Free))
	}
	want := `example.com/gpu: 0 3 8 7
gpu.example.com with device.attributes[': 0 6 8 7
nvidia.com/gpu: 0 1 22 9
nvidia.com/gpu on gpu=b200: 0 2 2 2
nvidia.com/gpu on gpu=h100: 1 12 16 5`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestReplace(t *testing.T) {
	at := func(name, product string, n int) []Pods {
		return podsIn(t, strings.Replace(served(n, gpus(product, 1)), "name: llama", "name: "+name, 1))
	}
	for name, c := range map[string]struct {
		after        []Pods
		rolls, whole bool
	}{
		"the same":         {at("llama", "h100", 1), false, false},
		"more of them":     {at("llama", "h100", 5), false, false},
		"another template": {at("llama", "b200", 1), true, false},
		"another object":   {at("other", "h100", 1), true, true},
		"none":             {nil, true, true},
		"one beside":       {append(at("llama", "h100", 1), at("other", "h100", 1)...), true, true},
	} {
		if rolls, whole := Replace(at("llama", "h100", 1), c.after); rolls != c.rolls || whole != c.whole {
			t.Errorf("%s: %v %v, want %v %v", name, rolls, whole, c.rolls, c.whole)
		}
	}
	if rolls, _ := Replace(podsIn(t, claimed(1, 1, "h100")), podsIn(t, claimed(1, 2, "h100"))); !rolls {
		t.Error("another claim, and nothing rolls")
	}
}
