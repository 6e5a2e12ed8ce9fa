package render

import "github.com/davit-dev/davit/registry"

const claimTemplate = "ResourceClaimTemplate"

// claimOf is the accelerator's claim template for who asks for GPUs, "" without one.
func claimOf(accelerator *registry.Accelerator, gpus int) string {
	if accelerator == nil || gpus == 0 {
		return ""
	}
	return accelerator.Spec.Claim
}

// claimed has a container, and its pod, claim devices by the accelerator's template.
func claimed(accelerator *registry.Accelerator, gpus int, n names, container, pod object) {
	claim := claimOf(accelerator, gpus)
	if claim == "" {
		return
	}
	pod["resourceClaims"] = []any{object{"name": claim, "resourceClaimTemplateName": n.of(claim)}}
	resources, _ := container["resources"].(object)
	if resources == nil {
		resources = object{}
	}
	resources["claims"] = []any{object{"name": claim}}
	container["resources"] = resources
}

// claimCounts has the claim ask for as many devices as gpus says.
func claimCounts(accelerator *registry.Accelerator, gpus int) []patch {
	claim := claimOf(accelerator, gpus)
	if claim == "" {
		return nil
	}
	return []patch{{
		Target: exactly(claimTemplate, claim),
		Patch:  operations(object{"op": "add", "path": "/spec/spec/devices/requests/0/exactly/count", "value": gpus}),
	}}
}
