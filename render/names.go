package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/davit-dev/davit/registry"
)

// releaseLabel is the only label in selectors, so that they never change.
const releaseLabel = "davit.dev/release"

// objectLabels are on every object and on the workload's pods.
func objectLabels(r *registry.Release) map[string]string {
	return map[string]string{
		releaseLabel:                   r.Name,
		"davit.dev/model":              r.Model.Name,
		"davit.dev/environment":        r.Environment.Name,
		"app.kubernetes.io/managed-by": "davit",
	}
}

// versionLabel is on the workload and its pods alone: elsewhere a promotion would have to write every object of
// the release.
const versionLabel = "davit.dev/version"

// namespace receives every object of the release.
func namespace(r *registry.Release) string {
	if ns := r.Environment.Spec.Namespace; ns != "" {
		return ns
	}
	return r.Environment.Name
}

// prefixed is the name an object of a layer has before the last one: "<release>-<name>".
func prefixed(r *registry.Release, name string) string { return r.Name + "-" + name }

// rename gives the workload or the Service the release's own name and selector. Kustomize carries a
// name changed this way on to the objects that refer to it, as it does with the prefix.
func rename(r *registry.Release, kind, name string, selector object) patch {
	return patch{
		Target: map[string]string{"kind": kind, "name": regexp.QuoteMeta(prefixed(r, name))},
		Patch: operations(
			object{"op": "replace", "path": "/metadata/name", "value": r.Name},
			object{"op": "add", "path": "/spec/selector", "value": selector},
		),
		Options: map[string]bool{"allowNameChange": true},
	}
}

func operations(ops ...object) string {
	data, err := json.Marshal(ops)
	if err != nil { // maps of strings
		panic(err)
	}
	return string(data)
}

// wide finds the selectors, other than the workload's and the Service's, that select the release's pods by
// labels the pods of other releases have too, and says how to narrow them: a disruption budget of a base or a
// Component would otherwise span every release of the namespace.
func wide(objects []*unstructured.Unstructured, r *registry.Release) (found []narrowing, err error) {
	workload := lookup(objects, r.Runtime.Spec.Workload.Kind, r.Name)
	if workload == nil {
		return nil, nil
	}
	pods, _, _ := unstructured.NestedStringMap(workload.Object, "spec", "template", "metadata", "labels")
	for _, o := range objects {
		against := k8slabels.Set(pods)
		if o.GetKind() == "ServiceMonitor" { // it selects Services
			service := lookup(objects, "Service", r.Name)
			if service == nil {
				continue
			}
			against = service.GetLabels()
		}
		n := narrowing{object: o, value: object{"matchLabels": object{releaseLabel: r.Name}}}
		if o.GetKind() == "Service" {
			n.value = object{releaseLabel: r.Name}
		}
		for at, selector := range selectors(o, o == workload) {
			if !isWide(selector, against) {
				continue
			}
			if hasPods(o) && o != workload && at == "/spec/selector" {
				return nil, fmt.Errorf("%s:1: %s %s selects the release's pods as well; give its pods labels of their own",
					r.Runtime.Path, o.GetKind(), o.GetName())
			}
			n.at = append(n.at, at)
		}
		if len(n.at) > 0 {
			found = append(found, n)
		}
	}
	return found, nil
}

// narrowing replaces selectors of an object.
type narrowing struct {
	object *unstructured.Unstructured
	at     []string // JSON pointers
	value  object
}

func (n narrowing) patch() patch {
	var ops []object
	for _, at := range n.at {
		ops = append(ops, object{"op": "replace", "path": at, "value": n.value})
	}
	return patch{
		Target: map[string]string{"kind": n.object.GetKind(), "name": regexp.QuoteMeta(n.object.GetName())},
		Patch:  operations(ops...),
	}
}

func lookup(objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	return nil
}

func hasPods(o *unstructured.Unstructured) bool {
	_, ok, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec")
	return ok && err == nil
}

// selectors iterates over an object's selectors of pods by their JSON pointer; within the pod template, over
// those of the spread and affinity terms too.
func selectors(o *unstructured.Unstructured, template bool) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for _, field := range []string{"selector", "podSelector"} {
			if v, ok, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", field); ok && !yield("/spec/"+field, v) {
				return
			}
		}
		if spec, ok, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec"); ok && template {
			nestedSelectors("/spec/template/spec", spec, yield)
		}
	}
}

func nestedSelectors(at string, v any, yield func(string, any) bool) bool {
	switch v := v.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key == "labelSelector" {
				if !yield(at+"/"+key, v[key]) {
					return false
				}
			} else if (key == "affinity" || key == "topologySpreadConstraints" || at != "/spec/template/spec") && !nestedSelectors(at+"/"+key, v[key], yield) {
				return false
			}
		}
	case []any:
		for i, e := range v {
			if !nestedSelectors(at+"/"+strconv.Itoa(i), e, yield) {
				return false
			}
		}
	}
	return true
}

// isWide says whether a selector matches set without naming the release.
func isWide(v any, set k8slabels.Set) bool {
	m, ok := v.(object)
	if !ok {
		return false
	}
	var s metav1.LabelSelector
	_, labels := m["matchLabels"]
	_, expressions := m["matchExpressions"]
	if labels || expressions || len(m) == 0 {
		if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &s) != nil {
			return false
		}
	} else {
		s.MatchLabels = map[string]string{}
		for k, v := range m {
			s.MatchLabels[k] = fmt.Sprint(v)
		}
	}
	if _, ok := s.MatchLabels[releaseLabel]; ok {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	return err == nil && selector.Matches(set)
}
