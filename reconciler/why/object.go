package why

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/render"
)

// Object names an object as kubectl takes it: a kind in any of its spellings, and a name.
type Object struct {
	Kind  string // "deploy", "deployments", "Deployment"
	Group string // "" for any
	Name  string
}

func (o Object) String() string {
	kind := o.Kind
	if o.Group != "" {
		kind += "." + o.Group
	}
	return kind + "/" + o.Name
}

// ParseObject reads "deployment/iris", "deploy/iris" or "deployment.apps/iris".
func ParseObject(s string) (Object, error) {
	kind, name, ok := strings.Cut(s, "/")
	if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
		return Object{}, fmt.Errorf("%q is not KIND/NAME, such as deployment/iris", s)
	}
	kind, group, _ := strings.Cut(kind, ".")
	if kind == "" {
		return Object{}, fmt.Errorf("%q is not KIND/NAME, such as deployment/iris", s)
	}
	return Object{Kind: kind, Group: group, Name: name}, nil
}

// shortNames are kubectl's, and those of the APIs that runtimes use.
var shortNames = map[string]string{
	"deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "rs": "replicaset", "po": "pod", "svc": "service",
	"cm": "configmap", "sa": "serviceaccount", "ing": "ingress", "netpol": "networkpolicy", "pdb": "poddisruptionbudget",
	"hpa": "horizontalpodautoscaler", "pvc": "persistentvolumeclaim", "cj": "cronjob", "ep": "endpoints",
	"isvc": "inferenceservice", "lws": "leaderworkerset",
}

// IsKind says whether the object may be of a kind, given as "Deployment" and "apps".
func (o Object) IsKind(kind, group string) bool {
	word, kind := strings.ToLower(o.Kind), strings.ToLower(kind)
	if long, ok := shortNames[word]; ok {
		word = long
	}
	if word != kind && word != plural(kind) {
		return false
	}
	// kubectl takes deployment.v1.apps too.
	return o.Group == "" || o.Group == group || strings.HasSuffix(o.Group, "."+group) && group != ""
}

func plural(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"):
		return kind + "es"
	case strings.HasSuffix(kind, "cy"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}

// generated is what Kustomize ends the name of a generated ConfigMap or Secret in: a hash of its content, in an alphabet
// of its own (kustomize/api/hasher).
var generated = regexp.MustCompile(`-[bcdfghkmt2456789]{10}$`)

// lasting is an object's name without the hashes that make it another with each content.
func lasting(kind, name, rollout string) string {
	if rollout != "" {
		name = strings.ReplaceAll(name+"-", "-"+rollout+"-", "-")
		name = strings.TrimSuffix(name, "-")
	}
	if kind == "ConfigMap" || kind == "Secret" {
		name = generated.ReplaceAllString(name, "")
	}
	return name
}

// find is the object among a release's; one with the very name comes before one that bears it with another hash.
func (o Object) find(out *render.Output) *unstructured.Unstructured {
	var near *unstructured.Unstructured
	for _, candidate := range out.Objects {
		gvk := candidate.GroupVersionKind()
		switch name := candidate.GetName(); {
		case !o.IsKind(gvk.Kind, gvk.Group):
		case name == o.Name:
			return candidate
		case near == nil && lasting(gvk.Kind, name, out.Rollout) == lasting(gvk.Kind, o.Name, ""):
			near = candidate
		}
	}
	return near
}

// title is "Deployment.apps/iris".
func title(o *unstructured.Unstructured) string {
	return o.GroupVersionKind().GroupKind().String() + "/" + o.GetName()
}
