package render

import (
	"fmt"
	"io/fs"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/registry"
)

// overlayDir is the root of a release's overlay. The layers are folders below it, one Kustomization on top
// of the other: within one, Kustomize has an order of its own (Components, patches, namespace, prefix, labels).
func overlayDir(r *registry.Release) string { return r.Key().String() }

// overlay is what a release is built from.
type overlay struct {
	release    *registry.Release
	modelImage string
	layers     *layers
	args       []any // the server's, below the Serving's fields
	root       string
	files      map[string][]byte
}

// overlay reads and checks a release's layers.
func (r *Renderer) overlay(fsys fs.FS, rel *registry.Release, modelImage string) (*overlay, error) {
	if err := checkRelease(rel, modelImage); err != nil {
		return nil, err
	}
	ls, err := r.layers(fsys, rel)
	if err != nil {
		return nil, err
	}
	objects, err := r.below(ls, rel)
	if err != nil {
		return nil, err
	}
	args, err := baseArgs(objects, rel)
	if err != nil {
		return nil, err
	}
	return &overlay{release: rel, modelImage: modelImage, layers: ls, args: args, root: overlayDir(rel)}, nil
}

// generated is what davit writes into an overlay: the kustomizations that lay one layer on the other, and two
// patches. It is all that differs between releases of the same layers.
type generated struct {
	Serving, Named, Last kustomization
	Fields, Identity     object
}

// generate writes for r, which is the overlay's release or one that stands for many.
func (o *overlay) generate(r *registry.Release, modelImage string) (*generated, error) {
	fields, err := servingPatch(r, o.args)
	if err != nil {
		return nil, err
	}
	named := kustomization{Resources: []string{"../serving"}, NamePrefix: prefixed(r, "")}
	for i := range o.layers.components {
		named.Components = append(named.Components, "../"+componentDir(i))
	}
	return &generated{
		Serving:  kustomization{Resources: []string{o.layers.belowServing()}, Patches: []patch{{Path: "fields.yaml"}}}.generated(),
		Named:    named.generated(),
		Last:     lastLayer(r).generated(),
		Fields:   fields,
		Identity: identity(r, modelImage),
	}, nil
}

func componentDir(i int) string { return fmt.Sprintf("component-%d", i+1) }

// belowServing is layers 1 and 2 as the Serving's layer names them: the runtime's base, with the accelerator
// over it where there is one.
func (ls *layers) belowServing() string {
	if ls.accelerator != nil {
		return "../accelerated"
	}
	return "../base"
}

// tree lays out all files of an overlay below root.
func (o *overlay) tree(root string, g *generated) (map[string][]byte, error) {
	tree := map[string][]byte{}
	dir := path.Join(root, "layers")
	if err := o.layers.writeBelow(tree, dir); err != nil {
		return nil, err
	}
	for i, c := range o.layers.components {
		c.write(tree, path.Join(dir, componentDir(i)))
	}
	for _, f := range []struct {
		name string
		v    any
	}{
		{"layers/serving/fields.yaml", g.Fields}, {"layers/serving/kustomization.yaml", g.Serving},
		{"layers/named/kustomization.yaml", g.Named}, {"identity.yaml", g.Identity}, {"kustomization.yaml", g.Last},
	} {
		if err := write(tree, path.Join(root, f.name), f.v); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

func (ls *layers) writeBelow(tree map[string][]byte, dir string) error {
	ls.base.write(tree, path.Join(dir, "base"))
	if ls.accelerator == nil {
		return nil
	}
	ls.accelerator.write(tree, path.Join(dir, "accelerator"))
	k := kustomization{Resources: []string{"../base"}, Components: []string{"../accelerator"}}
	return write(tree, path.Join(dir, "accelerated/kustomization.yaml"), k.generated())
}

// build builds the overlay, once more when selectors must be narrowed, and checks the objects.
func (o *overlay) build() (*Output, error) {
	g, err := o.generate(o.release, o.modelImage)
	if err != nil {
		return nil, err
	}
	out, err := o.run(g)
	if err != nil {
		return nil, err
	}
	if err := checkObjects(out.Objects, o.release, o.modelImage); err != nil {
		return nil, err
	}
	selectors, err := wide(out.Objects, o.release)
	if err != nil || len(selectors) == 0 {
		return out, err
	}
	for _, n := range selectors {
		g.Last.Patches = append(g.Last.Patches, n.patch())
	}
	return o.run(g)
}

func (o *overlay) run(g *generated) (*Output, error) {
	var err error
	if o.files, err = o.tree(o.root, g); err != nil {
		return nil, err
	}
	built, err := build(o.files, o.root)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", o.release.Key(), err)
	}
	return printed(built)
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

func write(tree map[string][]byte, name string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	tree[name] = data
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
