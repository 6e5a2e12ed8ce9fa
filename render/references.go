package render

import (
	"maps"
	"slices"
	"strings"
)

// references are the fields of a pod's spec that name other objects, by those objects' kind. Kustomize knows them in
// a Job, not in a JobSet or LeaderWorkerSet: without them a generated ConfigMap would not be found by its hashed name.
var references = map[string][]string{
	"v1/ConfigMap": {
		"volumes/configMap/name", "volumes/projected/sources/configMap/name",
		"containers/env/valueFrom/configMapKeyRef/name", "containers/envFrom/configMapRef/name",
		"initContainers/env/valueFrom/configMapKeyRef/name", "initContainers/envFrom/configMapRef/name",
	},
	"v1/Secret": {
		"volumes/secret/secretName", "volumes/projected/sources/secret/name", "imagePullSecrets/name",
		"containers/env/valueFrom/secretKeyRef/name", "containers/envFrom/secretRef/name",
		"initContainers/env/valueFrom/secretKeyRef/name", "initContainers/envFrom/secretRef/name",
	},
	"v1/ServiceAccount":        {"serviceAccountName"},
	"v1/PersistentVolumeClaim": {"volumes/persistentVolumeClaim/claimName"},
}

// claimReferences are those that Kustomize does not know in a Job either.
var claimReferences = map[string][]string{
	"resource.k8s.io/ResourceClaimTemplate": {"resourceClaims/resourceClaimTemplateName"},
	"resource.k8s.io/ResourceClaim":         {"resourceClaims/resourceClaimName"},
}

// podReferences tells Kustomize where a kind that it does not know has pods' specs.
func podReferences(kind string, specs ...string) object {
	all := maps.Clone(references)
	maps.Copy(all, claimReferences)
	return nameReferences(all, kind, specs...)
}

// claimNames is for ResourceClaimTemplates of a layer, whose names get a prefix.
func claimNames(kind string) object {
	return nameReferences(claimReferences, kind, "spec/template/spec/")
}

func nameReferences(fields map[string][]string, kind string, pods ...string) object {
	var all []any
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		of, name, _ := strings.Cut(key, "/")
		reference := object{"kind": name}
		if of == "v1" {
			reference["version"] = of
		} else {
			reference["group"] = of
		}
		var specs []any
		for _, field := range fields[key] {
			for _, pod := range pods {
				specs = append(specs, object{"kind": kind, "path": pod + field})
			}
		}
		reference["fieldSpecs"] = specs
		all = append(all, reference)
	}
	return object{"nameReference": all}
}
