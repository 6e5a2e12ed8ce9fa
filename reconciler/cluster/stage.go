package cluster

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Objects are applied in stages, each after the one before it: what pods mount or run as, then everything
// else, then what sends traffic to pods. Deleting goes the other way.
const (
	stageConfig = iota
	stageWorkload
	stageRoute
	stages
)

func stage(kind schema.GroupKind) int {
	if _, makes := secretMakers[kind]; makes {
		return stageConfig
	}
	switch kind.Group {
	case "rbac.authorization.k8s.io", "policy", "resource.k8s.io", "scheduling.k8s.io":
		return stageConfig
	case "gateway.networking.k8s.io", "inference.networking.k8s.io", "inference.networking.x-k8s.io":
		return stageRoute
	case "":
		switch kind.Kind {
		case "ServiceAccount", "ConfigMap", "Secret", "PersistentVolumeClaim", "LimitRange", "ResourceQuota":
			return stageConfig
		case "Service":
			return stageRoute
		}
	case "networking.k8s.io":
		if kind.Kind == "NetworkPolicy" {
			return stageConfig
		}
		return stageRoute
	case "autoscaling":
		// An autoscaler needs the workload it scales.
		return stageRoute
	}
	return stageWorkload
}

// neverPruned are kinds whose deletion loses more than the release: other people's objects or data.
func neverPruned(kind schema.GroupKind) bool {
	switch kind {
	case schema.GroupKind{Kind: "Namespace"}, schema.GroupKind{Kind: "PersistentVolumeClaim"},
		schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}:
		return true
	}
	return false
}

// Kinds lists the kinds of objects, sorted, each once.
func Kinds(objects []*unstructured.Unstructured) []schema.GroupKind {
	var kinds []schema.GroupKind
	for _, o := range objects {
		kinds = append(kinds, o.GroupVersionKind().GroupKind())
	}
	slices.SortFunc(kinds, func(a, b schema.GroupKind) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(kinds)
}
