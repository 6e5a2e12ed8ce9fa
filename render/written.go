package render

import "maps"

// kustomization is what davit writes of a kustomization.yaml.
type kustomization struct {
	APIVersion     string            `json:"apiVersion"`
	Kind           string            `json:"kind"`
	Resources      []string          `json:"resources,omitempty"`
	Components     []string          `json:"components,omitempty"`
	NamePrefix     string            `json:"namePrefix,omitempty"`
	NameSuffix     string            `json:"nameSuffix,omitempty"`
	Namespace      string            `json:"namespace,omitempty"`
	Labels         []labels          `json:"labels,omitempty"`
	Patches        []patch           `json:"patches,omitempty"`
	Configurations []string          `json:"configurations,omitempty"`
	Replacements   []replacement     `json:"replacements,omitempty"`
	SortOptions    map[string]string `json:"sortOptions,omitempty"`
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

// replacement copies a field of one object into another.
type replacement struct {
	Source  object   `json:"source"`
	Targets []object `json:"targets"`
}

// copied makes a replacement that copies a field to another object's, which need not be there.
func copied(from object, fieldPath string, to object, path string) replacement {
	from = maps.Clone(from)
	from["fieldPath"] = fieldPath
	return replacement{Source: from, Targets: []object{{"select": to, "fieldPaths": []any{path}, "options": object{"create": true}}}}
}

func (k kustomization) generated() *kustomization {
	k.APIVersion, k.Kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
	return &k
}
