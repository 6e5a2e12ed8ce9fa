package render

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/registry"
)

// overlayDir is the root of a release's overlay. The layers are folders below it, one Kustomization on top
// of the other: within one, Kustomize has an order of its own (Components, patches, namespace, prefix, labels).
func overlayDir(r *registry.Release) string { return r.Key().String() }

// overlay lays a release's tree layer by layer and builds it.
func overlay(fsys fs.FS, r *registry.Release, modelImage string) (*overlayTree, error) {
	if err := checkRelease(r, modelImage); err != nil {
		return nil, err
	}
	o := &overlayTree{root: overlayDir(r), files: map[string][]byte{}, survey: &survey{}}
	steps := []func() error{
		func() error { return o.base(fsys, r) },
		func() error { return o.components(fsys, r) },
		o.survey.check,
		func() error { return o.serving(r) },
		func() error { return o.last(r, modelImage) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// overlayTree is an overlay in the making, and what it was built to.
type overlayTree struct {
	root    string
	files   map[string][]byte
	survey  *survey
	built   resmap.ResMap
	objects []*unstructured.Unstructured
}

// base is layers 1 and 2: the runtime's base with the accelerator over it.
func (o *overlayTree) base(fsys fs.FS, r *registry.Release) error {
	if err := o.copy(&layer{fsys: fsys, dir: r.Runtime.Dir}, "layers/base"); err != nil {
		return err
	}
	k := kustomization{Resources: []string{"../base"}}
	if r.Accelerator != nil {
		if err := o.copy(&layer{fsys: fsys, dir: r.Accelerator.Dir}, "layers/accelerator"); err != nil {
			return err
		}
		k.Components = []string{"../accelerator"}
	}
	return o.write("layers/accelerated/kustomization.yaml", k.generated())
}

// components is layers 4 to 6: the environment's, the release's, and the release's in the environment.
func (o *overlayTree) components(fsys fs.FS, r *registry.Release) error {
	k := kustomization{Resources: []string{"../serving"}, NamePrefix: prefixed(r, "")}
	dirs := r.Components
	if r.Environment.Component != "" {
		dirs = append([]string{r.Environment.Component}, dirs...)
	}
	for i, dir := range dirs {
		l := &layer{fsys: fsys, dir: dir, refused: nested(r, dir)}
		if dir != r.Environment.Component {
			l.opens = r.Owns
		}
		to := fmt.Sprintf("component-%d", i+1)
		if err := o.copy(l, path.Join("layers", to)); err != nil {
			return err
		}
		k.Components = append(k.Components, "../"+to)
	}
	return o.write("layers/named/kustomization.yaml", k.generated())
}

// nested are the folders inside dir that are layers of their own.
func nested(r *registry.Release, dir string) (inside []string) {
	for _, c := range r.Components {
		if strings.HasPrefix(c, dir+"/") {
			inside = append(inside, c)
		}
	}
	return inside
}

// serving is layer 3, the Serving's fields. What lies below it is built first, since a list of arguments
// can't be merged without knowing the one below.
func (o *overlayTree) serving(r *registry.Release) error {
	built, err := build(o.files, path.Join(o.root, "layers/accelerated"))
	if err != nil {
		return fmt.Errorf("building %s: %w", r.Runtime, err)
	}
	objects, err := objectsOf(built)
	if err != nil {
		return err
	}
	args, err := baseArgs(objects, r)
	if err != nil {
		return err
	}
	fields, err := servingPatch(r, args)
	if err != nil {
		return err
	}
	if err := o.write("layers/serving/fields.yaml", fields); err != nil {
		return err
	}
	k := kustomization{Resources: []string{"../accelerated"}, Patches: []patch{{Path: "fields.yaml"}}}
	return o.write("layers/serving/kustomization.yaml", k.generated())
}

// last is the outermost layer, which nothing overrides: names, selectors, namespace, labels and digests. It
// is built again when selectors must be narrowed.
func (o *overlayTree) last(r *registry.Release, modelImage string) error {
	k := lastLayer(r)
	if err := o.write("identity.yaml", identity(r, modelImage)); err != nil {
		return err
	}
	if err := o.build(r, k); err != nil {
		return err
	}
	if err := checkObjects(o.objects, r, modelImage); err != nil {
		return err
	}
	patches, err := wide(o.objects, r)
	if err != nil || len(patches) == 0 {
		return err
	}
	k.Patches = append(k.Patches, patches...)
	return o.build(r, k)
}

// build builds the whole overlay with k as its root.
func (o *overlayTree) build(r *registry.Release, k kustomization) (err error) {
	if err := o.write("kustomization.yaml", k.generated()); err != nil {
		return err
	}
	if o.built, err = build(o.files, o.root); err != nil {
		return fmt.Errorf("building %s: %w", r.Key(), err)
	}
	o.objects, err = objectsOf(o.built)
	return err
}

func lastLayer(r *registry.Release) kustomization {
	spec, selector := r.Runtime.Spec, object{releaseLabel: r.Name}
	k := kustomization{
		Resources: []string{"layers/named"},
		Namespace: namespace(r),
		Labels:    []labels{{Pairs: objectLabels(r)}},
		Patches: []patch{
			{Path: "identity.yaml"},
			rename(r, spec.Workload.Kind, spec.Workload.Name, object{"matchLabels": selector}),
		},
		SortOptions: map[string]string{"order": "legacy"},
	}
	if spec.Service != "" {
		k.Patches = append(k.Patches, rename(r, "Service", spec.Service, selector))
	}
	return k
}

func (o *overlayTree) copy(l *layer, to string) error {
	l.to, l.tree, l.survey = path.Join(o.root, to), o.files, o.survey
	return l.copy()
}

func (o *overlayTree) write(name string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	o.files[path.Join(o.root, name)] = data
	return nil
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

func (k kustomization) generated() kustomization {
	k.APIVersion, k.Kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
	return k
}
