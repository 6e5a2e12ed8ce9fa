package render

import (
	"crypto/sha256"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// RolloutLabel is on the workload and the pods of a revision that has them for itself, and in their selectors. Its
// value is the Output's Rollout.
const RolloutLabel = "davit.dev/rollout"

// unnamed stands for a rollout whose name is not known yet.
const unnamed = "zzzzzzzzzz"

// letters can be part of any name, never spell a word, and are not taken for numbers by YAML.
const letters = "bcdfghjklmnpqrstvwxz"

// rolloutOf names what a revision runs by its content: all objects but those that turn traffic to it, and however many
// pods there are to be. They were built for the rollout called unnamed.
func rolloutOf(objects []*unstructured.Unstructured, r *registry.Release) (string, error) {
	h := sha256.New()
	workload := workloadOf(objects, r, names{r.Name, unnamed})
	for _, o := range objects {
		if IsTraffic(o, r.Name) || o.GetKind() == "HorizontalPodAutoscaler" {
			continue
		}
		if o == workload {
			o = &unstructured.Unstructured{Object: maps.Clone(o.Object)}
			if spec, ok := o.Object["spec"].(object); ok {
				spec = maps.Clone(spec)
				delete(spec, "replicas")
				o.Object["spec"] = spec
			}
		}
		data, err := o.MarshalJSON()
		if err != nil {
			return "", fmt.Errorf("reading %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		h.Write(data)
	}
	name := h.Sum(nil)[:len(unnamed)]
	for i, b := range name {
		name[i] = letters[int(b)%len(letters)]
	}
	return string(name), nil
}

// IsTraffic says whether an object of the release turns traffic to a revision: the Service and the HTTPRoute that
// bear the release's own name. All others of a progressive rollout bear the revision's.
func IsTraffic(o *unstructured.Unstructured, release string) bool {
	return o.GetName() == release && (o.GetKind() == "Service" || o.GetKind() == "HTTPRoute")
}

// ownService leads to one revision's pods, before the release's Service does.
func (o *overlay) ownService(r *registry.Release, n names) object {
	return object{
		"apiVersion": "v1", "kind": "Service",
		"metadata": object{"name": n.workload(), "labels": object{RolloutLabel: n.rollout}},
		"spec":     object{"selector": serviceSelector(r, n), "ports": o.base.ports},
	}
}
