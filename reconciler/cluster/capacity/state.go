package capacity

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/structured"
)

// State is what a cluster has, and who holds it.
type State struct {
	Nodes []*Node
	// Running are the pods of davit's releases.
	Running []Running
	Devices Devices
}

// Node is one node.
type Node struct {
	// Object has the name, labels, taints and conditions.
	Object *corev1.Node
	// Has is what it offers to pods.
	Has Amounts
	// Used is what pods other than Running's take of it.
	Used Amounts
}

// Running is a pod of a release that has a node and has not ended.
type Running struct {
	Namespace, Release, Node string
	Needs                    Amounts
	// Claims names the device claims that were made for it and go with it.
	Claims []string
}

// Devices are what drivers offer by ResourceSlices.
type Devices struct {
	// Served says that the cluster has the API, resource.k8s.io/v1.
	Served  bool
	Slices  []*resourcev1.ResourceSlice
	Classes []*resourcev1.DeviceClass
	// Held are the devices allocated to claims, by the claim's "namespace/name".
	Held map[string][]structured.DeviceID
}

// offers is the class of devices that stands for a resource which no device plugin counts; "" when there is none.
func (s *State) offers(name corev1.ResourceName) string {
	for _, n := range s.Nodes {
		if n.Has[name] > 0 {
			return ""
		}
	}
	for _, c := range s.Devices.Classes {
		if e := c.Spec.ExtendedResourceName; e != nil && *e == string(name) || resourcev1.ResourceDeviceClassPrefix+c.Name == string(name) {
			return c.Name
		}
	}
	return ""
}
