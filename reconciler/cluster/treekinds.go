package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster/capacity"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// PodInfo is what people want to know of a pod.
type PodInfo struct {
	Name, Node string
	// Phase is the pod's, or in its place what keeps a container from running: CrashLoopBackOff, ImagePullBackOff, …
	Phase string
	// Ready of Containers are ready.
	Ready, Containers int
	Restarts          int
	// Images are those of its containers and of its volumes, each once.
	Images []string
	// GPUs is how many devices it asks for; a claim of Dynamic Resource Allocation, whose number of devices is not in the pod,
	// counts as one.
	GPUs int
	// Rollout is of which rollout it is, where each revision has a workload of its own, and Version its model's.
	Rollout, Version string
	// Crashed names the container that ended last, if one did, and Previous says that it runs again: see [Cluster.LastLog].
	Crashed  string
	Previous bool
}

// reading reads the objects of a kind, and whether there are more.
type reading func(context.Context) ([]owned, bool, error)

// made are the kinds that the controllers of the inventory's kinds make.
func (t *treeMaker) made() []reading {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(t.mr.Status.Inventory, func(r v1alpha1.ObjectRef) bool { return slices.Contains(kinds, r.Kind) })
	}
	all := []reading{t.pods}
	if has("Deployment", "InferenceService") {
		all = append(all, t.replicaSets)
	}
	if has("Service") {
		all = append(all, t.slices)
	}
	if has("InferenceService") {
		all = append(all, t.deployments)
	}
	if has("LeaderWorkerSet") {
		all = append(all, t.statefulSets)
	}
	return all
}

// ofRelease selects what bears the release's label, as many as a Tree holds.
func (t *treeMaker) ofRelease() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: LabelRelease + "=" + t.mr.Spec.Release, Limit: treeLimit}
}

func (t *treeMaker) node(o metav1.Object, group, version, kind string) owned {
	n := &Node{Created: o.GetCreationTimestamp().Time, Deleting: o.GetDeletionTimestamp() != nil}
	n.Ref = v1alpha1.ObjectRef{Group: group, Version: version, Kind: kind, Name: o.GetName(), UID: o.GetUID()}
	made := owned{node: n}
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil {
		made.owner = owner.UID
	}
	return made
}

func (t *treeMaker) pods(ctx context.Context) (all []owned, more bool, err error) {
	list, err := t.c.typed.CoreV1().Pods(t.mr.Namespace).List(ctx, t.ofRelease())
	if err != nil {
		return nil, false, fmt.Errorf("listing pods: %w", err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		o := t.node(pod, "", "v1", "Pod")
		o.node.Pod, o.node.Health = podInfo(pod), podHealth(pod, t.v.timeout, t.v.now)
		if h := crashesHealth([]*corev1.Pod{pod}); h.State == Failed {
			o.node.Health = h
		}
		all = append(all, o)
	}
	return all, list.Continue != "", nil
}

func (t *treeMaker) replicaSets(ctx context.Context) (all []owned, more bool, err error) {
	list, err := t.c.typed.AppsV1().ReplicaSets(t.mr.Namespace).List(ctx, t.ofRelease())
	if err != nil {
		return nil, false, fmt.Errorf("listing ReplicaSets: %w", err)
	}
	for i := range list.Items {
		set := &list.Items[i]
		o := t.node(set, "apps", "v1", "ReplicaSet")
		o.node.scaled(replicas(set.Spec.Replicas), set.Status.ReadyReplicas)
		all = append(all, o)
	}
	return all, list.Continue != "", nil
}

func (t *treeMaker) deployments(ctx context.Context) (all []owned, more bool, err error) {
	list, err := t.c.typed.AppsV1().Deployments(t.mr.Namespace).List(ctx, t.ofRelease())
	if err != nil {
		return nil, false, fmt.Errorf("listing Deployments: %w", err)
	}
	for i := range list.Items {
		d := &list.Items[i]
		o := t.node(d, "apps", "v1", "Deployment")
		o.node.scaled(replicas(d.Spec.Replicas), d.Status.ReadyReplicas)
		o.node.Health = deploymentHealth(d)
		all = append(all, o)
	}
	return all, list.Continue != "", nil
}

func (t *treeMaker) statefulSets(ctx context.Context) (all []owned, more bool, err error) {
	list, err := t.c.typed.AppsV1().StatefulSets(t.mr.Namespace).List(ctx, t.ofRelease())
	if err != nil {
		return nil, false, fmt.Errorf("listing StatefulSets: %w", err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		o := t.node(s, "apps", "v1", "StatefulSet")
		o.node.scaled(replicas(s.Spec.Replicas), s.Status.ReadyReplicas)
		o.node.Health = statefulSetHealth(s)
		all = append(all, o)
	}
	return all, list.Continue != "", nil
}

// slices are the endpoints that Services lead to.
func (t *treeMaker) slices(ctx context.Context) (all []owned, more bool, err error) {
	list, err := t.c.typed.DiscoveryV1().EndpointSlices(t.mr.Namespace).List(ctx, t.ofRelease())
	if err != nil {
		return nil, false, fmt.Errorf("listing EndpointSlices: %w", err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		o := t.node(s, "discovery.k8s.io", "v1", "EndpointSlice")
		ready := 0
		for _, e := range s.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready { // absent means ready
				ready++
			}
		}
		if o.node.scaled(int32(len(s.Endpoints)), int32(ready)); len(s.Endpoints) == 0 {
			o.node.Health = progressing("NoEndpoints", "it leads nowhere")
		}
		all = append(all, o)
	}
	return all, list.Continue != "", nil
}

// scaled says how many of what an object has are ready; one that has none is of the past, or not needed.
func (n *Node) scaled(want, ready int32) {
	switch {
	case want == 0:
		n.Health.State = Ready
		return
	case ready < want:
		n.Health = some(ready, Health{State: Progressing, Reason: "NotReady"}) // Detail says the rest
	default:
		n.Health.State = Ready
	}
	n.Detail = fmt.Sprintf("%d of %d ready", ready, want)
}

func podInfo(pod *corev1.Pod) *PodInfo {
	p := &PodInfo{
		Name: pod.Name, Node: pod.Spec.NodeName, Phase: string(pod.Status.Phase), Containers: len(pod.Spec.Containers),
		Rollout: pod.Labels["davit.dev/rollout"], Version: pod.Labels["davit.dev/version"],
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		p.Images = append(p.Images, c.Image)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			p.Images = append(p.Images, v.Image.Reference)
		}
	}
	slices.Sort(p.Images)
	p.Images = slices.Compact(p.Images)
	p.GPUs = int(capacity.Requests(pod).Devices()) + len(pod.Spec.ResourceClaims)
	var last *corev1.ContainerStateTerminated
	for _, s := range statuses(pod) {
		p.Restarts += int(s.RestartCount)
		if s.State.Waiting != nil && s.State.Waiting.Reason != "" {
			p.Phase = s.State.Waiting.Reason
		}
		if _, ended := crashes(s); ended != nil && ended.ExitCode != 0 && (last == nil || ended.FinishedAt.After(last.FinishedAt.Time)) {
			last, p.Crashed, p.Previous = ended, s.Name, s.State.Running != nil
		}
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Ready {
			p.Ready++
		}
	}
	if pod.DeletionTimestamp != nil {
		p.Phase = "Terminating"
	}
	return p
}
