package capacity

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	requests "k8s.io/component-helpers/resource"
)

// Amounts are numbers of resources by name; of cpu in thousandths.
type Amounts map[corev1.ResourceName]int64

// AmountsOf reads a list as the API has it.
func AmountsOf(list corev1.ResourceList) Amounts {
	a := make(Amounts, len(list))
	for name, q := range list {
		if name == corev1.ResourceCPU {
			a[name] = q.MilliValue()
		} else {
			a[name] = q.Value()
		}
	}
	return a
}

// Requests is what a pod takes from its node, its place among the node's pods included.
func Requests(pod *corev1.Pod) Amounts {
	a := AmountsOf(requests.PodRequests(pod, requests.PodResourcesOptions{}))
	a[corev1.ResourcePods] = 1
	return a
}

// needs is Requests of a pod that the API server did not see yet: it requests what a limit says where nothing else does.
func needs(spec *corev1.PodSpec) Amounts {
	spec = spec.DeepCopy()
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			r := &containers[i].Resources
			if r.Requests == nil && len(r.Limits) > 0 {
				r.Requests = corev1.ResourceList{}
			}
			for name, limit := range r.Limits {
				if _, ok := r.Requests[name]; !ok {
					r.Requests[name] = limit
				}
			}
		}
	}
	return Requests(&corev1.Pod{Spec: *spec})
}

// Add adds b times n.
func (a Amounts) Add(b Amounts, n int64) {
	for name, v := range b {
		a[name] += n * v
	}
}

// cover says that all of b is in a.
func (a Amounts) cover(b Amounts) bool {
	for name, v := range b {
		if v > a[name] {
			return false
		}
	}
	return true
}

// lacks names what of b is not in a, devices first.
func (a Amounts) lacks(b Amounts) (names []corev1.ResourceName) {
	for _, name := range b.names() {
		if b[name] > a[name] {
			names = append(names, name)
		}
	}
	return names
}

func (a Amounts) names() []corev1.ResourceName {
	return slices.SortedFunc(maps.Keys(a), func(x, y corev1.ResourceName) int {
		if isDevice(x) != isDevice(y) {
			if isDevice(x) {
				return -1
			}
			return 1
		}
		return strings.Compare(string(x), string(y))
	})
}

// Devices is how many devices there are in all, of whatever kind.
func (a Amounts) Devices() (n int64) {
	for name, v := range a {
		if isDevice(name) {
			n += v
		}
	}
	return n
}

// sameDevices leaves out what admission may add to a pod.
func sameDevices(a, b Amounts) bool {
	for _, name := range slices.Concat(a.names(), b.names()) {
		if isDevice(name) && a[name] != b[name] {
			return false
		}
	}
	return true
}

// isDevice says whether a resource is one that a device plugin counts.
func isDevice(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods:
		return false
	}
	return !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// text is an amount as people write it; free memory is rounded down to what still says something.
func text(name corev1.ResourceName, v int64) string {
	switch {
	case name == corev1.ResourceCPU:
		return resource.NewMilliQuantity(v, resource.DecimalSI).String()
	case isDevice(name) || name == corev1.ResourcePods:
		return strconv.FormatInt(v, 10)
	}
	for _, unit := range []int64{1 << 30, 1 << 20} {
		if v >= 10*unit {
			v -= v % unit
			break
		}
	}
	return resource.NewQuantity(v, resource.BinarySI).String()
}
