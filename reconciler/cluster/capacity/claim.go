package capacity

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
)

// claim is what is made of a template for one pod, with the defaults that the API server would set.
func claim(t *resourcev1.ResourceClaimTemplate, c corev1.PodResourceClaim, namespace string) *resourcev1.ResourceClaim {
	out := &resourcev1.ResourceClaim{Spec: *t.Spec.Spec.DeepCopy()}
	out.Name, out.Namespace = c.Name, namespace
	for _, r := range out.Spec.Devices.Requests {
		if r.Exactly != nil {
			count(&r.Exactly.AllocationMode, &r.Exactly.Count)
		}
		for i := range r.FirstAvailable {
			count(&r.FirstAvailable[i].AllocationMode, &r.FirstAvailable[i].Count)
		}
	}
	return out
}

func count(mode *resourcev1.DeviceAllocationMode, n *int64) {
	if *mode == "" {
		*mode = resourcev1.DeviceAllocationModeExactCount
	}
	if *mode == resourcev1.DeviceAllocationModeExactCount && *n == 0 {
		*n = 1
	}
}

// oneDevice is a claim for one device as a request wants it.
func oneDevice(want resourcev1.ExactDeviceRequest) *resourcev1.ResourceClaim {
	want.Count, want.AllocationMode = 1, resourcev1.DeviceAllocationModeExactCount
	return &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
		Requests: []resourcev1.DeviceRequest{{Name: "device", Exactly: &want}},
	}}}
}

// exactly is a request, or the first of its alternatives.
func exactly(r resourcev1.DeviceRequest) *resourcev1.ExactDeviceRequest {
	if r.Exactly == nil && len(r.FirstAvailable) > 0 {
		sub := r.FirstAvailable[0]
		return &resourcev1.ExactDeviceRequest{
			DeviceClassName: sub.DeviceClassName, Selectors: sub.Selectors, AllocationMode: sub.AllocationMode, Count: sub.Count, Tolerations: sub.Tolerations,
		}
	}
	return r.Exactly
}
