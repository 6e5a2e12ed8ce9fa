package render_test

import (
	"fmt"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// FuzzComponent lays any Component over a release: it is refused, or the objects are of the release's namespace, are the same
// by a template and without, and the next build of a sound one is unchanged.
func FuzzComponent(f *testing.F) {
	sound := iris(f, nil)
	plain := release(f, sound)
	before, err := render.Release(sound, plain, modelImage)
	if err != nil {
		f.Fatal(err)
	}
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n"
	for _, component := range []string{
		"resources: [a.yaml]\n", "resources: [./a.yaml, ../iris/a.yaml]\n", "resources: ['https://example.com/a']\n", "openapi: {version: v1.20.4}\n",
		"patches: [{path: a.yaml}]\n", "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /metadata/namespace, value: kube-system}\n",
		"configMapGenerator: [{name: a, files: [k=a.yaml], literals: [x=y]}]\n", "replacements: [{source: {kind: ConfigMap, name: a}, targets: [{select: {kind: Deployment}, fieldPaths: [metadata.name]}]}]\n",
		"labels: [{pairs: {a: b}, includeSelectors: true}]\nnamePrefix: x-\n", "images: [{name: iris-server, newTag: latest}]\nreplicas: [{name: runtime, count: 3}]\n",
	} {
		f.Add(head+component, config)
	}
	f.Add(head+"resources: [a.yaml]\n", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n")
	f.Add(head+"resources: [a.yaml]\n", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}\n")
	f.Add(head+"resources: [a.yaml]\n", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: kube-system}\n")
	f.Add(head+"components: [.]\n", "a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, component, file string) {
		fsys := fstest.MapFS{}
		for name, of := range sound {
			fsys[name] = of
		}
		fsys["releases/iris/kustomization.yaml"] = &fstest.MapFile{Data: []byte(component)}
		fsys["releases/iris/a.yaml"] = &fstest.MapFile{Data: []byte(file)}
		models, err := registry.Load(fsys)
		if err != nil {
			t.Fatal(err)
		}
		if r := models.Release(plain.Key()); r != nil {
			both(t, fsys, r)
		}
		if again, err := render.Release(sound, plain, modelImage); err != nil || again.Hash != before.Hash {
			t.Errorf("the next build is another: %v", err)
		}
	})
}

// both renders a release, and another of the same form, by a Renderer that learns and without.
func both(t *testing.T, fsys fstest.MapFS, r *registry.Release) {
	var renderer render.Renderer
	other := *r
	other.Name = "second"
	for _, one := range []*registry.Release{r, &other, r} {
		got, err := renderer.Release(fsys, one, modelImage)
		want, wantErr := render.Release(fsys, one, modelImage)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s: error %v, without a template %v", one.Name, err, wantErr)
		}
		if err != nil {
			continue
		}
		if string(got.YAML) != string(want.YAML) || !reflect.DeepEqual(got.Objects, want.Objects) {
			t.Errorf("%s: got\n%s\nwithout a template\n%s", one.Name, got.YAML, want.YAML)
		}
		for _, o := range got.Objects {
			if o.GetNamespace() != r.Environment.Spec.Namespace {
				t.Errorf("%s %s is in namespace %q", o.GetKind(), o.GetName(), o.GetNamespace())
			}
		}
	}
}
