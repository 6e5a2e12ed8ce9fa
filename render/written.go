package render

// kustomization is what davit writes of a kustomization.yaml.
type kustomization struct {
	APIVersion   string            `json:"apiVersion"`
	Kind         string            `json:"kind"`
	Resources    []string          `json:"resources,omitempty"`
	Components   []string          `json:"components,omitempty"`
	NamePrefix   string            `json:"namePrefix,omitempty"`
	NameSuffix   string            `json:"nameSuffix,omitempty"`
	Namespace    string            `json:"namespace,omitempty"`
	Labels       []labels          `json:"labels,omitempty"`
	Patches      []patch           `json:"patches,omitempty"`
	Replacements []replacement     `json:"replacements,omitempty"`
	SortOptions  map[string]string `json:"sortOptions,omitempty"`
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
	Source  source              `json:"source"`
	Targets []replacementTarget `json:"targets"`
}

type source struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	FieldPath string `json:"fieldPath"`
}

type replacementTarget struct {
	Select     map[string]string `json:"select"`
	FieldPaths []string          `json:"fieldPaths"`
	Options    map[string]bool   `json:"options,omitempty"`
}

func (k kustomization) generated() *kustomization {
	k.APIVersion, k.Kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
	return &k
}
