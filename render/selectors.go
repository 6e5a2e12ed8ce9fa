package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/davit-dev/davit/registry"
)

// wide finds the selectors, other than the workload's and the Service's, that select the release's pods by
// labels the pods of other releases have too, and says how to narrow them: a disruption budget of a base or a
// Component would otherwise span every release of the namespace, or both revisions of a progressive rollout.
func wide(objects []*unstructured.Unstructured, r *registry.Release, in names) (found []narrowing, err error) {
	workload := workloadOf(objects, r, in)
	if workload == nil {
		return nil, nil
	}
	label := releaseLabel
	if in.rollout != "" {
		label = RolloutLabel
	}
	return owner{workload, lookup(objects, "Service", r.Name), in.selector(), label, r.Runtime.Path}.wide(objects)
}

// owner is whose pods, and Service if there is one, selectors may take in: selector selects them, and one that
// names the label does not take in anybody else's. file is whose fault it is.
type owner struct {
	workload, service *unstructured.Unstructured
	selector          object
	label, file       string
}

func (w owner) wide(objects []*unstructured.Unstructured) (found []narrowing, err error) {
	pods := w.pods(objects)
	for _, o := range objects {
		n := narrowing{object: o}
		against := pods
		switch {
		case o.GetKind() == "ServiceMonitor": // it selects Services
			if w.service == nil {
				continue
			}
			against = []k8slabels.Set{w.service.GetLabels()}
		case hasPods(o) && o != w.workload:
			if selector, ok, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "selector"); ok && isWide(selector, podLabelsOf(w.workload), w.label) {
				return nil, fmt.Errorf("%s:1: %s %s selects the release's pods as well; give its pods labels of their own",
					w.file, o.GetKind(), o.GetName())
			}
			meta := fieldOf(o, "spec", "template", "metadata")
			if labels, _ := meta["labels"].(object); meta == nil {
				n.add("/spec/template/metadata", object{"labels": w.over(nil)})
			} else if labels[w.label] == nil {
				n.add("/spec/template/metadata/labels", w.over(meta["labels"]))
			}
		}
		for at, selector := range selectors(o, hasPods(o) || o == w.workload) {
			if !slices.ContainsFunc(against, func(set k8slabels.Set) bool { return isWide(selector, set, w.label) }) {
				continue
			}
			if o.GetKind() == "Service" {
				n.add(at, w.over(selector))
				continue
			}
			narrow, _ := selector.(object)
			narrow = maps.Clone(narrow)
			if narrow == nil {
				narrow = object{}
			}
			narrow["matchLabels"] = w.over(narrow["matchLabels"])
			n.add(at, narrow)
		}
		if len(n.changes) > 0 {
			found = append(found, n)
		}
	}
	return found, nil
}

// pods are the labels of each kind of pod there is to be.
func (w owner) pods(objects []*unstructured.Unstructured) (all []k8slabels.Set) {
	for _, o := range objects {
		for _, at := range templates(o) {
			if _, ok, _ := unstructured.NestedFieldNoCopy(o.Object, append(slices.Clone(at), "spec")...); !ok {
				continue
			}
			labels, _, _ := unstructured.NestedStringMap(o.Object, append(slices.Clone(at), "metadata", "labels")...)
			set := k8slabels.Set{}
			maps.Copy(set, labels)
			for key, value := range w.selector {
				set[key], _ = value.(string)
			}
			all = append(all, set)
		}
	}
	return append(all, podLabelsOf(w.workload))
}

// over is labels with the owner's.
func (w owner) over(labels any) object {
	out := object{}
	if m, ok := labels.(object); ok {
		maps.Copy(out, m)
	}
	maps.Copy(out, w.selector)
	return out
}

// workloadOf is the object that runs the server.
func workloadOf(objects []*unstructured.Unstructured, r *registry.Release, n names) *unstructured.Unstructured {
	kind := r.Runtime.Spec.Workload.Kind
	if r.MultiNode() {
		kind = group.Kind
	}
	return lookup(objects, kind, n.workload())
}

// templates are the places of a workload's pod templates.
func templates(workload *unstructured.Unstructured) [][]string {
	switch workload.GetKind() {
	case group.Kind:
		return [][]string{{"spec", "leaderWorkerTemplate", "leaderTemplate"}, {"spec", "leaderWorkerTemplate", "workerTemplate"}}
	case inferenceService:
		return nil
	}
	return [][]string{{"spec", "template"}}
}

func podLabelsOf(workload *unstructured.Unstructured) map[string]string {
	for _, at := range templates(workload) {
		pods, _, _ := unstructured.NestedStringMap(workload.Object, append(slices.Clone(at), "metadata", "labels")...)
		return pods
	}
	return workload.GetLabels() // KServe's pods have them too
}

// narrowing replaces selectors, and labels, of an object.
type narrowing struct {
	object  *unstructured.Unstructured
	changes []change
}

type change struct {
	at    string // a JSON pointer
	value object
}

func (n *narrowing) add(at string, value object) { n.changes = append(n.changes, change{at, value}) }

func (n narrowing) patch() patch {
	var ops []object
	for _, c := range n.changes {
		ops = append(ops, object{"op": "add", "path": c.at, "value": c.value})
	}
	return patch{Target: exactly(n.object.GetKind(), n.object.GetName()), Patch: operations(ops...)}
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
		if !template {
			return
		}
		for _, place := range templates(o) {
			place = append(slices.Clone(place), "spec")
			spec, _, _ := unstructured.NestedFieldNoCopy(o.Object, place...)
			for _, field := range []string{"affinity", "topologySpreadConstraints"} {
				pod, _ := spec.(object)
				if at := "/" + strings.Join(place, "/") + "/" + field; !nestedSelectors(at, pod[field], yield) {
					return
				}
			}
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
			} else if !nestedSelectors(at+"/"+key, v[key], yield) {
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

// runtimeLabels are those that controllers give to pods.
var runtimeLabels = []string{"leaderworkerset.sigs.k8s.io/", "apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"}

// isWide says whether a selector matches set without the label that tells the owner. Labels that only running pods have
// are taken for theirs.
func isWide(v any, set k8slabels.Set, label string) bool {
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
	if _, ok := s.MatchLabels[label]; ok {
		return false
	}
	maps.DeleteFunc(s.MatchLabels, func(key, _ string) bool {
		return slices.ContainsFunc(runtimeLabels, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
	})
	selector, err := metav1.LabelSelectorAsSelector(&s)
	return err == nil && selector.Matches(set)
}
