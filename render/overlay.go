package render

import (
	"fmt"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
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
	rollout    string // see Output; "" when revisions share the workload
	layers     *layers
	base       *base
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
	if err := ls.bound(rel.Path); err != nil {
		return nil, err
	}
	if err := ls.survey.lost(objects, rel.Runtime.Spec.Container); err != nil {
		return nil, err
	}
	b, err := baseOf(objects, rel)
	if err != nil {
		return nil, err
	}
	o := &overlay{release: rel, modelImage: modelImage, layers: ls, base: b, root: overlayDir(rel)}
	known := ls.survey
	for _, b := range o.beside(rel, o.names()) { // Components patch those too
		known.kind(kyaml.TypeMeta{APIVersion: b.content["apiVersion"].(string), Kind: b.content["kind"].(string)})
	}
	return o, known.check()
}

// generated is what davit writes into an overlay, by path below its root: the kustomizations that lay one layer on
// the other, patches, and objects. It is all that differs between releases of the same layers.
type generated map[string]any

const rootFile = "kustomization.yaml"

// top is the kustomization at the root.
func (g generated) top() *kustomization { return g[rootFile].(*kustomization) }

// generate writes for r, which is the overlay's release or one that stands for many.
func (o *overlay) generate(r *registry.Release, modelImage, rollout string) (generated, error) {
	n := names{r.Name, rollout}
	g := generated{}
	if err := o.serving(g, r, n, modelImage); err != nil {
		return nil, err
	}
	named := kustomization{Resources: []string{"../serving"}, NamePrefix: r.Name + "-"}
	if rollout != "" {
		named.NameSuffix = "-" + rollout
	}
	for i := range o.layers.components {
		named.Components = append(named.Components, "../"+componentDir(i))
	}
	g["layers/named/kustomization.yaml"] = named.generated()
	o.whole(g, r, n, modelImage)
	return g, nil
}

// serving is the layer of the Serving's fields and of what the environment has beside each server.
func (o *overlay) serving(g generated, r *registry.Release, n names, modelImage string) error {
	fields, err := o.fields(r, n, modelImage)
	if err != nil {
		return err
	}
	k := kustomization{Resources: []string{o.layers.belowServing()}}
	for _, f := range fields {
		g["layers/serving/"+f.name] = f.content
		k.Patches = append(k.Patches, patch{Path: f.name})
	}
	for _, b := range o.beside(r, n) {
		g["layers/serving/"+b.name] = b.content
		k.Resources = append(k.Resources, b.name)
	}
	k.Patches = append(k.Patches, claimCounts(r.Accelerator, r.Serving.GPUs)...)
	g["layers/serving/kustomization.yaml"] = k.generated()
	return nil
}

// whole is davit's last layer: namespace, names, selectors, labels and digests, which no layer overrides.
func (o *overlay) whole(g generated, r *registry.Release, n names, modelImage string) {
	k := kustomization{Resources: []string{"layers/named"}, Namespace: namespace(r), Labels: []labels{{Pairs: objectLabels(r)}}}
	dir := ""
	if r.MultiNode() {
		dir = "layers/whole/"
		k.Resources = []string{"../named"}
	}
	for _, f := range identity(r, n, modelImage) {
		g[dir+f.name] = f.content
		k.Patches = append(k.Patches, patch{Path: f.name})
	}
	k.Patches = append(k.Patches, o.renames(r, n)...)
	if o.layers.survey.holds(claimTemplate) {
		g[dir+"names.yaml"] = claimNames(r.Runtime.Spec.Workload.Kind)
		k.Configurations = []string{"names.yaml"}
	}
	if n.rollout != "" {
		g[dir+"service.yaml"] = o.ownService(r, n)
		k.Resources = append(k.Resources, "service.yaml")
	}
	if r.MultiNode() {
		g[dir+"kustomization.yaml"] = k.generated()
		k = join(g, r, n)
	}
	k.SortOptions = map[string]string{"order": "legacy"}
	g[rootFile] = k.generated()
}

// file is one that davit writes.
type file struct {
	name    string
	content object
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
func (o *overlay) tree(root string, g generated) (map[string][]byte, error) {
	tree := map[string][]byte{}
	dir := path.Join(root, "layers")
	if err := o.layers.writeBelow(tree, dir); err != nil {
		return nil, err
	}
	for i, c := range o.layers.components {
		c.write(tree, path.Join(dir, componentDir(i)))
	}
	for name, v := range g {
		if err := write(tree, path.Join(root, name), v); err != nil {
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
	g, err := o.generate(o.release, o.modelImage, o.rollout)
	if err != nil {
		return nil, err
	}
	out, err := o.run(g)
	if err != nil {
		return nil, err
	}
	if err := o.check(out.Objects); err != nil {
		return nil, err
	}
	selectors, err := wide(out.Objects, o.release, o.names())
	if err != nil || len(selectors) == 0 {
		return out, err
	}
	for _, n := range selectors {
		g.top().Patches = append(g.top().Patches, n.patch())
	}
	return o.run(g)
}

func (o *overlay) names() names { return names{o.release.Name, o.rollout} }

func (o *overlay) run(g generated) (*Output, error) {
	var err error
	if o.files, err = o.tree(o.root, g); err != nil {
		return nil, err
	}
	built, err := build(o.files, o.root)
	if err != nil {
		return nil, o.blame(err)
	}
	return printed(built)
}

func write(tree map[string][]byte, name string, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	tree[name] = data
	return nil
}

// base is what davit has to know of what lies below the Serving's fields.
type base struct {
	server, worker *server
	ports          []any // of the Service
}

// server is a container of a pod template, or what stands for one in an InferenceService.
type server struct {
	args, env       []any
	probe           object // the startup probe, or nil
	mounts, volumes []any
	tolerations     []any
	initContainers  []any // of an InferenceService, whose lists are written whole, as is pullSecrets
	pullSecrets     []any
}

func baseOf(objects []*unstructured.Unstructured, r *registry.Release) (*base, error) {
	spec, b := r.Runtime.Spec, &base{}
	w := spec.Workload
	workload := lookup(objects, w.Kind, w.Name)
	if workload == nil {
		return nil, fmt.Errorf("%s:1: the base has no %s %q; name its workload", r.Runtime.Path, w.Kind, w.Name)
	}
	if spec.Service != "" {
		service := lookup(objects, "Service", spec.Service)
		if service == nil {
			return nil, fmt.Errorf("%s:1: the base has no Service %q; name its Service, or none", r.Runtime.Path, spec.Service)
		}
		b.ports, _, _ = unstructured.NestedSlice(service.Object, "spec", "ports")
	}
	if claim := claimOf(r.Accelerator, r.Serving.GPUs); claim != "" && lookup(objects, claimTemplate, claim) == nil {
		return nil, fmt.Errorf("%s:1: the Component has no %s %q; name the one that gpus counts", r.Accelerator.Path, claimTemplate, claim)
	}
	var err error
	if b.server, err = serverOf(workload, spec.Container, r); err != nil || !r.MultiNode() {
		return b, err
	}
	if lookup(objects, group.Kind, w.Name) == nil {
		return nil, fmt.Errorf("%s:1: the base for several nodes has no %s %q; write one without templates", r.Runtime.Path, group.Kind, w.Name)
	}
	worker := lookup(objects, w.Kind, spec.MultiNode.Worker)
	if worker == nil {
		return nil, fmt.Errorf("%s:1: the base for several nodes has no %s %q; name the workers'", r.Runtime.Path, w.Kind, spec.MultiNode.Worker)
	}
	b.worker, err = serverOf(worker, spec.Container, r)
	return b, err
}

func serverOf(workload *unstructured.Unstructured, name string, r *registry.Release) (*server, error) {
	container := containerOf(workload, name)
	if container == nil {
		return nil, fmt.Errorf("%s:1: %s %q has no container %q; name the server's", r.Runtime.Path, workload.GetKind(), workload.GetName(), name)
	}
	s := &server{}
	s.args, _ = container["args"].([]any)
	s.env, _ = container["env"].([]any)
	s.probe, _ = container["startupProbe"].(object)
	pod := fieldOf(workload, "spec", "template", "spec")
	if workload.GetKind() == inferenceService {
		pod = fieldOf(workload, "spec", "predictor")
		s.initContainers, _ = pod["initContainers"].([]any)
		s.pullSecrets, _ = pod["imagePullSecrets"].([]any)
	}
	s.mounts, _ = container["volumeMounts"].([]any)
	s.volumes, _ = pod["volumes"].([]any)
	s.tolerations, _ = pod["tolerations"].([]any)
	return s, nil
}

// containerOf is the server's container; of an InferenceService its model, which has the same fields.
func containerOf(workload *unstructured.Unstructured, name string) object {
	if workload.GetKind() == inferenceService {
		model, _, _ := unstructured.NestedFieldNoCopy(workload.Object, "spec", "predictor", "model")
		o, _ := model.(object)
		return o
	}
	containers, _, _ := unstructured.NestedFieldNoCopy(workload.Object, "spec", "template", "spec", "containers")
	return named(containers, name)
}

// named is the entry of a list of objects with that name, or nil.
func named(list any, name string) object {
	entries, _ := list.([]any)
	for _, e := range entries {
		if o, ok := e.(object); ok && o["name"] == name {
			return o
		}
	}
	return nil
}
