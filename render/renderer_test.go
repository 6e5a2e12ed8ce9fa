package render_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// variants are releases that could share a template with r, and some that must not.
func variants(r *registry.Release) (out []*registry.Release) {
	vary := func(f func(*registry.Release)) {
		v, model, version := *r, *r.Model, *r.ModelVersion
		v.Model, v.ModelVersion = &model, &version
		v.Serving.Args, v.Serving.Env = maps.Clone(r.Serving.Args), maps.Clone(r.Serving.Env)
		if v.Serving.Args == nil {
			v.Serving.Args = map[string]registry.Arg{}
		}
		f(&v)
		out = append(out, &v)
	}
	names := []string{"iris", "second", "third", "fourth", "runtime", "iris-runtime", "a", "x-y-z", "settings",
		"server", "budget", "other", "v1", "true", "y", "null", "42", "1e3", "0x10", "value000", "production", "davit", strings.Repeat("n", 40)}
	named := func(names []string) {
		for _, name := range names {
			vary(func(v *registry.Release) { v.Name = name })
		}
	}
	named(names[:4])
	values := []string{"w2", "w3", "w1", "runtime", "fourth", "true", "1.5", "42", "y", "~", "null", "", " ", "a b", "a: b", "-", "é", "<&>", "a#b", "2026-11-24",
		"1:20", "=", "'", "\"", "\\", "x\ny", "$(X)", "{a}", "value001", "::", "a:", strings.Repeat("long ", 40), strings.Repeat("w", 150), "--", "/mnt", "0o17", "1_000", "\u2028"}
	for _, value := range values {
		vary(func(v *registry.Release) {
			v.Model.Name, v.ModelVersion.Name = value, value
			v.Serving.Args["model-name"] = registry.Arg{Value: value}
			v.Serving.Env = map[string]registry.EnvVar{"A": {Value: value}, "B": {Value: "b"}, "S": {Secret: "fourth-settings", Key: "k"}}
		})
	}
	named(names[4:])
	vary(func(v *registry.Release) { v.Serving.Args["model-name"] = registry.Arg{True: true} })
	vary(func(v *registry.Release) { v.Serving.Resources = map[string]string{"cpu": "2"} })
	vary(func(v *registry.Release) { v.Serving.Rollout.Strategy = "recreate" })
	return out
}

// same renders variants by a Renderer that learns, and each by a fresh build: the first seven, which the cases
// speak of, and of the others one in so many.
func same(t *testing.T, renderer *render.Renderer, fsys fs.FS, r *registry.Release, every int) {
	t.Helper()
	for i, v := range variants(r) {
		if i%every != 0 && i > 6 {
			continue
		}
		image := fmt.Sprintf("127.0.0.1:5000/models/m%d@sha256:%064x", i, i)
		got, err := renderer.Release(fsys, v, image)
		want, wantErr := render.Release(fsys, v, image)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s %v: error %v, want %v", v.Name, v.Serving.Args, err, wantErr)
			continue
		}
		if err == nil && (string(got.YAML) != string(want.YAML) || got.Hash != want.Hash || !reflect.DeepEqual(got.Objects, want.Objects)) {
			t.Errorf("%s %v: got\n%s\nwant\n%s", v.Name, v.Serving.Args, got.YAML, want.YAML)
		}
	}
}

func TestRendererGivesTheSameBytes(t *testing.T) {
	for name, a := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			over, _ := split(t, a)
			fsys := iris(t, over)
			var renderer render.Renderer
			same(t, &renderer, fsys, release(t, fsys), 5)
			for file := range over {
				if strings.Contains(string(fsys[file].Data), "Generator") {
					return // names are hashed
				}
			}
			if renderer.Templates() < 2 {
				t.Error("no template was used")
			}
		})
	}
}

// TestTemplatesThatWouldBeWrong lays Components over the release that look at what a template leaves open.
func TestTemplatesThatWouldBeWrong(t *testing.T) {
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	const volume = "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/volumes, value: [{name: x, configMap: {name: %s}}]}\n"
	type files = map[string]string
	for name, c := range map[string]struct {
		component string
		files     files
		learns    bool
	}{
		"plain":                    {"resources: [a.yaml]\n" + fmt.Sprintf(volume, "settings"), files{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"}, true},
		"refers to a final name":   {"resources: [a.yaml]\n" + fmt.Sprintf(volume, "third-settings"), files{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"}, true},
		"refers to the release":    {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: third}}\n"}, true},
		"named as the next rename": {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: third-runtime}\nspec: {selector: {matchLabels: {b: c}}, template: {metadata: {labels: {b: c}}, spec: {containers: [{name: x, image: x}]}}}\n"}, true},
		"prefix":                   {"namePrefix: thi\nresources: [a.yaml]\n", files{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rd-settings}\n"}, false},
		"generator":                {"configMapGenerator: [{name: settings, literals: [a=b]}]\n" + fmt.Sprintf(volume, "settings"), nil, false},
		"generator without hash":   {"generatorOptions: {disableNameSuffixHash: true}\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n", nil, false},
		"replacement": {"replacements:\n- source: {kind: Deployment, fieldPath: spec.template.spec.containers.0.args.0, options: {delimiter: e, index: 1}}\n" +
			"  targets: [{select: {kind: Deployment}, fieldPaths: [metadata.annotations.part], options: {create: true}}]\n", nil, false},
		"test":         {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: test, path: /spec/template/spec/containers/0/args/0, value: --model-name=iris}\n", nil, false},
		"copy":         {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: copy, from: /spec/template/spec/containers/0/args/0, path: /spec/template/spec/serviceAccountName}\n", nil, false},
		"directive":    {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: runtime}, spec: {template: {spec: {containers: [{name: server, $patch: replace, image: x}]}}}}\n", nil, false},
		"wide by name": {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {maxUnavailable: 1, selector: {matchLabels: {davit.dev/model: w1}}}\n"}, true},
		"wide, two groups": {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {selector: {}}\n" +
			"---\napiVersion: example.com/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {selector: {b: c}}\n"}, false},
		"fraction":     {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: example.com/v1\nkind: Canary\nmetadata: {name: a}\nspec: {weight: 0.10, big: 12345678901234567890}\n"}, false},
		"odd strings":  {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {x: 'yes', y: \"\"}}\ndata:\n  a: |\n    x\n     y\n  b: '0o17'\n  c: \"\\u2028 \\t\"\n  d: null\n"}, true},
		"many objects": {"resources: [a.yaml]\n", files{"a.yaml": strings.Repeat("---\napiVersion: v1\nkind: Secret\nmetadata: {name: NAME}\n", 3)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			over := files{"releases/iris/kustomization.yaml": head + c.component}
			for file, text := range c.files {
				for i := range 3 {
					text = strings.Replace(text, "NAME", fmt.Sprintf("s%d", 9-i), 1)
				}
				over["releases/iris/"+file] = text
			}
			fsys := iris(t, over)
			var renderer render.Renderer
			same(t, &renderer, fsys, release(t, fsys), 31)
			if got := renderer.Templates() > 0; got != c.learns {
				t.Errorf("made a template: %v", got)
			}
		})
	}
}

// hashed is a file system that knows blob ids, of a kind.
type hashed struct{ fstest.MapFS }

func (h hashed) BlobHash(name string) (string, error) {
	data, err := fs.ReadFile(h.MapFS, name)
	return fmt.Sprintf("%x", data), err
}

// TestRendererSeesChanges changes each shared layer under a Renderer that knows the old one.
func TestRendererSeesChanges(t *testing.T) {
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	over := map[string]string{
		"releases/iris/production.yaml":              "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec: {version: v2, accelerator: gpu, gpus: 2}\n",
		"environments/production/kustomization.yaml": component + "labels: [{pairs: {tier: one}}]\n",
	}
	var renderer render.Renderer
	check := func(file, old, new string) {
		fsys := iris(t, over)
		if !strings.Contains(string(fsys[file].Data), old) {
			t.Fatalf("%s has no %q", file, old)
		}
		over[file] = strings.Replace(string(fsys[file].Data), old, new, 1)
		fsys = iris(t, over)
		r := release(t, fsys)
		for range 4 {
			got, err := renderer.Release(hashed{fsys}, r, modelImage)
			want, wantErr := render.Release(fsys, r, modelImage)
			if err != nil || wantErr != nil || got.Hash != want.Hash {
				t.Errorf("%s with %q: %v, %v; got\n%s\nwant\n%s", file, new, err, wantErr, got.YAML, want.YAML)
			}
		}
	}
	check("runtimes/iris-server/0.1.0/deployment.yaml", "replicas: 1", "replicas: 1")
	check("runtimes/iris-server/0.1.0/deployment.yaml", "replicas: 1", "replicas: 7")
	check("runtimes/iris-server/0.1.0/runtime.yaml", "sha256:0000", "sha256:1111")
	check("environments/production/kustomization.yaml", "tier: one", "tier: two")
	check("accelerators/gpu/kustomization.yaml", "nvidia.com/gpu", "example.com/gpu")
	if renderer.Templates() != 5 {
		t.Errorf("%d templates, want one for each content", renderer.Templates())
	}
	// A fault in a layer that was sound.
	over["environments/production/kustomization.yaml"] = component + "openapi: {path: a}\n"
	fsys := iris(t, over)
	if _, err := renderer.Release(hashed{fsys}, release(t, fsys), modelImage); err == nil || !strings.Contains(err.Error(), "openapi is refused") {
		t.Errorf("error %v", err)
	}
}

func TestRendererConcurrently(t *testing.T) {
	fsys := iris(t, nil)
	r := release(t, fsys)
	all := variants(r)[:4] // of four names
	want := map[string]string{}
	for _, v := range all {
		out, err := render.Release(fsys, v, modelImage)
		if err != nil {
			t.Fatal(err)
		}
		want[v.Name] = out.Hash
	}
	var renderer render.Renderer
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 4 {
				for _, v := range all {
					out, err := renderer.Release(hashed{fsys}, v, modelImage)
					if err != nil || out.Hash != want[v.Name] {
						t.Errorf("%s: %v", v.Name, err)
						continue
					}
					out.Objects[0].SetName("changed") // what is handed out is the caller's
				}
			}
		})
	}
	wg.Wait()
}
