package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/davit-dev/davit/reconciler/cluster/capacity"
)

// Capacity reads what the cluster has for pods and who holds it: nodes, pods of all namespaces, and devices where
// there is an API for them. It is davit's own user who reads; they must be allowed to list those in the whole cluster.
func (c *Cluster) Capacity(ctx context.Context) (*capacity.State, error) {
	return c.CapacityIn(ctx, metav1.NamespaceAll)
}

// CapacityIn is Capacity with the pods and claims of some namespaces alone, for whom those of others are not to be seen: what
// is free is then no more than it says.
func (c *Cluster) CapacityIn(ctx context.Context, namespaces ...string) (*capacity.State, error) {
	s := &capacity.State{Devices: capacity.Devices{Held: map[string][]structured.DeviceID{}}}
	nodes := map[string]*capacity.Node{}
	err := pages(ctx, "nodes", c.typed.CoreV1().Nodes().List, func(list *corev1.NodeList) {
		for i := range list.Items {
			n := trimmed(&list.Items[i])
			s.Nodes, nodes[n.Object.Name] = append(s.Nodes, n), n
		}
	})
	if err != nil {
		return nil, err
	}
	for _, namespace := range namespaces {
		err := pages(ctx, "pods", c.typed.CoreV1().Pods(namespace).List, func(list *corev1.PodList) {
			for i := range list.Items {
				holds(s, nodes, &list.Items[i])
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return s, c.devices(ctx, &s.Devices, namespaces)
}

// pages lists page by page.
func pages[L metav1.ListInterface](ctx context.Context, what string, list func(context.Context, metav1.ListOptions) (L, error), take func(L)) error {
	for opts := (metav1.ListOptions{Limit: pageSize}); ; {
		page, err := list(ctx, opts)
		if err != nil {
			return fmt.Errorf("listing %s: %w", what, err)
		}
		take(page)
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

// trimmed is what counts of a node; its images alone may be most of it.
func trimmed(n *corev1.Node) *capacity.Node {
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}}
	o.Spec.Taints, o.Spec.Unschedulable = n.Spec.Taints, n.Spec.Unschedulable
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			o.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return &capacity.Node{Object: o, Has: capacity.AmountsOf(n.Status.Allocatable), Used: capacity.Amounts{}}
}

// holds counts a pod where it runs. One that ends gives its place back in a moment.
func holds(s *capacity.State, nodes map[string]*capacity.Node, pod *corev1.Pod) {
	node := nodes[pod.Spec.NodeName]
	if node == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil {
		return
	}
	release := pod.Labels[LabelRelease]
	if release == "" {
		node.Used.Add(capacity.Requests(pod), 1)
		return
	}
	r := capacity.Running{Namespace: pod.Namespace, Release: release, Node: pod.Spec.NodeName, Needs: capacity.Requests(pod)}
	shared := map[string]bool{}
	for _, c := range pod.Spec.ResourceClaims {
		shared[c.Name] = c.ResourceClaimName != nil
	}
	for _, c := range pod.Status.ResourceClaimStatuses {
		if c.ResourceClaimName != nil && !shared[c.Name] {
			r.Claims = append(r.Claims, pod.Namespace+"/"+*c.ResourceClaimName)
		}
	}
	if e := pod.Status.ExtendedResourceClaimStatus; e != nil {
		r.Claims = append(r.Claims, pod.Namespace+"/"+e.ResourceClaimName)
	}
	s.Running = append(s.Running, r)
}

// devices reads what drivers offer and what claims hold of it. Kubernetes before 1.34 has no such API.
func (c *Cluster) devices(ctx context.Context, d *capacity.Devices, namespaces []string) error {
	api := c.typed.ResourceV1()
	err := pages(ctx, "resourceslices", api.ResourceSlices().List, func(list *resourcev1.ResourceSliceList) {
		for i := range list.Items {
			s := list.Items[i]
			s.ManagedFields = nil
			d.Slices = append(d.Slices, &s)
		}
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Served = true
	err = pages(ctx, "deviceclasses", api.DeviceClasses().List, func(list *resourcev1.DeviceClassList) {
		for i := range list.Items {
			class := list.Items[i]
			d.Classes = append(d.Classes, &class)
		}
	})
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		err := pages(ctx, "resourceclaims", api.ResourceClaims(namespace).List, func(list *resourcev1.ResourceClaimList) {
			for i := range list.Items {
				allocated(d, &list.Items[i])
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// allocated counts the devices that a claim holds.
func allocated(d *capacity.Devices, claim *resourcev1.ResourceClaim) {
	if claim.Status.Allocation == nil {
		return
	}
	for _, r := range claim.Status.Allocation.Devices.Results {
		if r.AdminAccess == nil || !*r.AdminAccess { // an administrator's look takes nothing away
			name := claim.Namespace + "/" + claim.Name
			d.Held[name] = append(d.Held[name], structured.MakeDeviceID(r.Driver, r.Pool, r.Device))
		}
	}
}
