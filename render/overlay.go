package render

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/registry"
)

// The folders of a release's overlay, below "<env>/<release>".
const (
	baseDir    = "layers/base"
	servingDir = "layers/serving"
	namedDir   = "layers/named"
)

func overlayDir(r *registry.Release) string { return r.Key().String() }

// Overlay is the very Kustomize tree that Release builds, by path: `kubectl kustomize <env>/<release>` in a
// folder that holds it prints the same bytes. Everything of the repository's in it has been checked.
func Overlay(fsys fs.FS, r *registry.Release, modelImage string) (map[string][]byte, error) {
	tree := map[string][]byte{}
	root := overlayDir(r)
	if err := copyLayer(fsys, r.Runtime.Dir, path.Join(root, baseDir), tree); err != nil {
		return nil, err
	}
	serving := kustomization{Resources: []string{"../base"}}
	if r.Accelerator != nil {
		if err := copyLayer(fsys, r.Accelerator.Dir, path.Join(root, "layers/accelerator"), tree); err != nil {
			return nil, err
		}
		serving.Components = []string{"../accelerator"}
	}
	fields, err := servingPatch(r)
	if err != nil {
		return nil, err
	}
	serving.Patches = []patch{{Path: "fields.yaml"}}

	named := kustomization{Resources: []string{"../serving"}, NamePrefix: r.Name + "-"}
	for i, dir := range components(r) {
		layer := fmt.Sprintf("component-%d", i+1)
		if err := copyLayer(fsys, dir, path.Join(root, "layers", layer), tree, nested(r, dir)...); err != nil {
			return nil, err
		}
		named.Components = append(named.Components, "../"+layer)
	}

	for name, v := range map[string]any{
		path.Join(servingDir, "kustomization.yaml"): serving.generated("Kustomization"),
		path.Join(servingDir, "fields.yaml"):        fields,
		path.Join(namedDir, "kustomization.yaml"):   named.generated("Kustomization"),
		"kustomization.yaml":                        last(r).generated("Kustomization"),
		"identity.yaml":                             identity(r, modelImage),
	} {
		data, err := yaml.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
		tree[path.Join(root, name)] = data
	}
	return tree, nil
}

// components are the folders laid over the release, the environment's first.
func components(r *registry.Release) []string {
	if r.Environment.Component == "" {
		return r.Components
	}
	return append([]string{r.Environment.Component}, r.Components...)
}

// nested are the components that lie inside dir and are layers of their own, or another environment's.
func nested(r *registry.Release, dir string) (skip []string) {
	for _, c := range r.Components {
		if c != dir && strings.HasPrefix(c, dir+"/") {
			skip = append(skip, c)
		}
	}
	return skip
}

// kustomization is what davit writes of a kustomization.yaml.
type kustomization struct {
	APIVersion  string            `json:"apiVersion"`
	Kind        string            `json:"kind"`
	Resources   []string          `json:"resources,omitempty"`
	Components  []string          `json:"components,omitempty"`
	NamePrefix  string            `json:"namePrefix,omitempty"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      []labels          `json:"labels,omitempty"`
	Patches     []patch           `json:"patches,omitempty"`
	SortOptions map[string]string `json:"sortOptions,omitempty"`
}

type labels struct {
	Pairs map[string]string `json:"pairs"`
}

type patch struct {
	Path    string            `json:"path,omitempty"`
	Patch   string            `json:"patch,omitempty"`
	Target  map[string]string `json:"target,omitempty"`
	Options map[string]bool   `json:"options,omitempty"`
}

func (k kustomization) generated(kind string) kustomization {
	k.APIVersion, k.Kind = "kustomize.config.k8s.io/v1beta1", kind
	return k
}

// last is the outermost layer: names, selectors, namespace, labels and digests.
func last(r *registry.Release) kustomization {
	spec := r.Runtime.Spec
	k := kustomization{
		Resources:   []string{namedDir},
		Namespace:   r.Environment.Spec.Namespace,
		Labels:      []labels{{Pairs: objectLabels(r)}},
		Patches:     []patch{{Path: "identity.yaml"}},
		SortOptions: map[string]string{"order": "legacy"},
	}
	rename := func(kind, name, selector string) {
		k.Patches = append(k.Patches, patch{
			Target: map[string]string{"kind": kind, "name": "^" + r.Name + "-" + name + "$"},
			Patch: fmt.Sprintf("- {op: replace, path: /metadata/name, value: %q}\n- {op: add, path: %s, value: {%s: %q}}\n",
				r.Name, selector, releaseLabel, r.Name),
			Options: map[string]bool{"allowNameChange": true},
		})
	}
	rename(spec.Workload.Kind, spec.Workload.Name, "/spec/selector/matchLabels")
	if spec.Service != "" {
		rename("Service", spec.Service, "/spec/selector")
	}
	return k
}

const releaseLabel = "davit.dev/release"

// podLabels are on the pods; the first alone is in selectors, so that they never change.
func podLabels(r *registry.Release) map[string]string {
	return map[string]string{releaseLabel: r.Name, "davit.dev/model": r.Model.Name, "davit.dev/version": r.ModelVersion.Name}
}

func objectLabels(r *registry.Release) map[string]string {
	out := maps.Clone(podLabels(r))
	out["davit.dev/environment"] = r.Environment.Name
	out["app.kubernetes.io/managed-by"] = "davit"
	return out
}
