package render

import (
	"encoding/json"
	"regexp"

	"github.com/davit-dev/davit/registry"
)

// releaseLabel is the only label in selectors, so that they never change; where each revision has a workload of its
// own, RolloutLabel is the other.
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

func workloadLabels(r *registry.Release, n names) object {
	out := object{versionLabel: r.ModelVersion.Name}
	if n.rollout != "" {
		out[RolloutLabel] = n.rollout
	}
	return out
}

func podLabels(r *registry.Release, n names) object {
	out := workloadLabels(r, n)
	for key, value := range objectLabels(r) {
		out[key] = value
	}
	return out
}

// namespace receives every object of the release.
func namespace(r *registry.Release) string {
	if ns := r.Environment.Spec.Namespace; ns != "" {
		return ns
	}
	return r.Environment.Name
}

// names are those of a release's objects.
type names struct {
	release string
	rollout string // "" when revisions share them
}

// of is the name an object of a layer has before the last one: "<release>-<name>", and the rollout's after it.
func (n names) of(name string) string { return n.release + "-" + name + n.suffix() }

// workload is the name of what a revision runs, and of davit's objects beside it.
func (n names) workload() string { return n.release + n.suffix() }

func (n names) suffix() string {
	if n.rollout == "" {
		return ""
	}
	return "-" + n.rollout
}

// selector selects the release's pods; of a progressive rollout the revision's.
func (n names) selector() object {
	out := object{releaseLabel: n.release}
	if n.rollout != "" {
		out[RolloutLabel] = n.rollout
	}
	return out
}

// serviceSelector leaves out a group's workers, which answer nobody.
func serviceSelector(r *registry.Release, n names) object {
	out := n.selector()
	if r.MultiNode() {
		out["leaderworkerset.sigs.k8s.io/worker-index"] = "0"
	}
	return out
}

// renames gives the workload, the Service and the objects beside them the release's own name, and selectors.
func (o *overlay) renames(r *registry.Release, n names) []patch {
	w := r.Runtime.Spec.Workload
	var out []patch
	switch {
	case w.Kind == inferenceService:
		out = append(out, rename(w.Kind, n.of(w.Name), n.workload(), nil))
	case r.MultiNode():
		out = append(out, rename(group.Kind, n.of(w.Name), n.workload(), nil))
	default:
		out = append(out, rename(w.Kind, n.of(w.Name), n.workload(), object{"matchLabels": n.selector()}))
	}
	if service := r.Runtime.Spec.Service; service != "" {
		out = append(out, rename("Service", n.of(service), n.release, serviceSelector(r, n)))
	}
	for _, b := range o.beside(r, n) {
		kind, name := b.content["kind"].(string), b.content["metadata"].(object)["name"].(string)
		to := n.workload()
		if name == routeName {
			to = n.release
		}
		out = append(out, rename(kind, n.of(name), to, nil))
	}
	return out
}

// rename changes an object's name and, unless it is nil, its selector. Kustomize carries a name changed this way on
// to the objects that refer to it, as it does with the prefix.
func rename(kind, from, to string, selector object) patch {
	ops := []object{{"op": "replace", "path": "/metadata/name", "value": to}}
	if selector != nil {
		ops = append(ops, object{"op": "add", "path": "/spec/selector", "value": selector})
	}
	return patch{Target: exactly(kind, from), Patch: operations(ops...), Options: map[string]bool{"allowNameChange": true}}
}

// exactly is the target of a patch on one object.
func exactly(kind, name string) map[string]string {
	return map[string]string{"kind": kind, "name": regexp.QuoteMeta(name)}
}

func operations(ops ...object) string { return text(ops) }

// text is v as JSON, for a patch within a kustomization.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil { // maps of strings
		panic(err)
	}
	return string(data)
}
