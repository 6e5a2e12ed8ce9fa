package render_test

import (
	"fmt"
	"io/fs"
	"log"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/render"
)

// TestHostile lays one hostile Component over the release: each is refused by its place, and the next build
// of a sound one is unchanged. What a reconciler has to bear besides is in reconciler/hostile. Files are below releases/iris, or from the root with a leading slash.
func TestHostile(t *testing.T) {
	sound := iris(t, nil)
	before, err := render.Release(sound, release(t, sound), modelImage)
	if err != nil {
		t.Fatal(err)
	}
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	const widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {list: [{name: x, keep: me}]}\n"
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	type files = map[string]string
	for name, c := range map[string]struct {
		component string
		files     files
		want      string
	}{
		"https": {"resources:\n- https://example.com/a.yaml\n", nil, `releases/iris/kustomization.yaml:4: remote resource "https://example.com/a.yaml"; copy it into the repository`},
		"host after dot": {"resources: [./github.com/a/b]\n", files{
			"github.com/a/b/kustomization.yaml": "resources: [a.yaml]\n", "github.com/a/b/a.yaml": config}, "remote resource"},
		"sibling by prefix":       {"resources: [../iris-other/a.yaml]\n", files{"/releases/iris-other/a.yaml": config}, "is not a file or folder below releases/iris"},
		"missing":                 {"resources: [a.yaml]\n", nil, "is not a file or folder"},
		"other environment":       {"resources: [staging]\n", files{"staging/kustomization.yaml": "resources: []\n"}, "staging/kustomization.yaml:1: file is missing"},
		"layer of its own":        {"components: [production]\n", files{"production/kustomization.yaml": head + "labels: []\n"}, `"production" is not a file or folder`},
		"openapi":                 {"openapi: {path: schema.json}\n", nil, "kustomization.yaml:3: openapi is refused"},
		"openapi, nested":         {"resources: [a]\n", files{"a/kustomization.yaml": "openapi: {version: v1.20.4}\n"}, "releases/iris/a/kustomization.yaml:1: openapi is refused"},
		"old merge patches":       {"patchesStrategicMerge: [a.yaml]\n", nil, "patchesStrategicMerge is refused; write patches"},
		"unknown field":           {"resourcez: [a.yaml]\n", nil, `unknown field "resourcez"`},
		"two documents":           {"---\nkind: Component\n", nil, "this has 2 documents"},
		"anchors":                 {"resources: &a [b.yaml]\n", nil, "kustomization.yaml:3: anchors and aliases"},
		"anchors in flow style":   {"resources: [a.json]\n", files{"a.json": "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: [&x [], *x]}}\n"}, "releases/iris/a.json:1: anchors and aliases"},
		"anchors in a patch":      {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: &m {name: a}\n", nil, "kustomization.yaml:8: anchors and aliases"},
		"large":                   {"configMapGenerator: [{name: a, files: [big]}]\n", files{"big": strings.Repeat("x", 1<<20+1)}, "releases/iris/big:1: file is 1048577 bytes"},
		"folders, many times":     {"components: [a0, a0]\n", chain(12, 2), "folders are referred to more than 200 times"},
		"folders, deep":           {"components: [a0]\n", chain(30, 1), "more than 20 deep"},
		"files, many":             {"resources: [" + strings.Join(numbered(201), ", ") + "]\n", many(201, config), "more than 200 files"},
		"data outside":            {"configMapGenerator: [{name: a, files: [../../davit.yaml]}]\n", nil, "is not a file or folder"},
		"cluster scope":           {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n"}, "releases/iris/a.yaml:2: kind ClusterRole is not namespaced"},
		"davit's own kinds":       {"resources: [production.yaml]\n", nil, "releases/iris/production.yaml:1: kind Release is davit's own"},
		"merge on a CRD":          {"patches:\n- target: {kind: Widget}\n  patch: |-\n    apiVersion: example.com/v1\n    kind: Widget\n    metadata: {name: a}\n", nil, "kustomization.yaml:6: a strategic merge patch on example.com/v1 Widget"},
		"merge on a CRD, file":    {"resources: [w.yaml]\npatches: [{path: p.yaml}]\n", files{"w.yaml": widget, "p.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: runtime}\n---\n" + widget}, "releases/iris/p.yaml:5: a strategic merge patch"},
		"merge, wide target":      {"resources: [w.yaml]\npatches:\n- target: {name: .*}\n  patch: |-\n    {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", files{"w.yaml": widget}, "takes in example.com/v1 Widget"},
		"rename":                  {"patches:\n- target: {kind: Deployment}\n  options: {allowNameChange: true}\n  patch: '- {op: replace, path: /metadata/name, value: other}'\n", nil, "Deployment"},
		"volume":                  {"patches:\n- target: {kind: Deployment}\n  patch: '- {op: add, path: /spec/template/spec/volumes, value: [{name: model, emptyDir: {}}]}'\n", nil, `changed the volume "model"`},
		"mount":                   {"patches:\n- target: {kind: Deployment}\n  patch: '- {op: add, path: /spec/template/spec/containers/0/volumeMounts, value: [{name: x, mountPath: /mnt/model/models}]}'\n", nil, "mounts over /mnt/model"},
		"loses arguments":         {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, args: [a]}]}}}}\n", nil, "releases/iris/kustomization.yaml:6: args replaces what the layers below say, in silence"},
		"replaces a container":    {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, $patch: replace, image: x}]}}}}\n", nil, "$patch: replace replaces what"},
		"replaces all containers": {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{$patch: replace}, {name: other, image: x}]}}}}\n", nil, "$patch: replace replaces what"},
		"replaces variables":      {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, env: [{$patch: replace}]}]}}}}\n", nil, "$patch: replace replaces what"},
		"replaces the pod":        {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {$patch: replace, containers: []}}}}\n", nil, "$patch: replace replaces what"},
		"deletes the server":      {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, $patch: delete}]}}}}\n", nil, "$patch: delete replaces what"},
		"replace /0/env":          {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/template/spec/containers/0/env, value: []}\n", nil, "kustomization.yaml:6: /spec/template/spec/containers"},
		"add /0/args":             {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/containers/0/args, value: []}\n", nil, "kustomization.yaml:6: /spec/template/spec/containers"},
		"remove /0/env":           {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: remove, path: /spec/template/spec/containers/0/env}\n", nil, "kustomization.yaml:6: /spec/template/spec/containers"},
		"replace /0":              {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/template/spec/containers/0, value: {}}\n", nil, "kustomization.yaml:6: /spec/template/spec/containers"},
		"add ":                    {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/containers, value: []}\n", nil, "kustomization.yaml:6: /spec/template/spec/containers"},
		"merge, wide target on a route": {"patches:\n- target: {name: .*}\n  patch: |-\n    {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", files{
			"/environments/production/environment.yaml": strings.Replace(string(sound["environments/production/environment.yaml"].Data), `{kubernetes: "1.37"}`, "{features: [gatewayAPI]}", 1),
			"/releases/iris/serving.yaml":               string(sound["releases/iris/serving.yaml"].Data) + "  route: {hostname: a.example.com, gateway: a}\n"}, "takes in gateway.networking.k8s.io/v1 HTTPRoute"},
		"no containers":          {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: null}}}}\n", nil, "took"},
		"no template":            {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: null}}\n", nil, "took"},
		"other pod":              {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/template/spec, value: {containers: [{name: server, image: x}]}}\n", nil, "took the argument --model-name=iris away"},
		"moved arguments":        {"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: move, from: /spec/template/spec/containers/0/args, path: /spec/template/spec/containers/0/command}\n", nil, "took the argument --model-name=iris away"},
		"overwritten argument":   {"replacements:\n- source: {kind: Deployment, fieldPath: metadata.name}\n  targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.spec.containers.0.args.0]}]\n", nil, "took the argument --model-name=iris away"},
		"copies that grow":       {"resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |-\n" + strings.Repeat("    - {op: copy, from: /data, path: /data/y}\n", 12), files{"a.yaml": config + "data: {a: " + strings.Repeat("x", 10000) + "}\n"}, "could make more than 16 MiB"},
		"long name of a Service": {"resources: [a.yaml]\n", files{"a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: " + strings.Repeat("n", 60) + "}\nspec: {ports: [{port: 80}]}\n"}, "has 65 characters, and at most 63 can be"},
		"panic of a patch":       {"patches:\n- target: {kind: Deployment}\n  patch: '- {op: add}'\n", nil, "building production/iris"},
	} {
		t.Run(name, func(t *testing.T) {
			over := files{"releases/iris/kustomization.yaml": head + c.component}
			for file, text := range c.files {
				if rooted, ok := strings.CutPrefix(file, "/"); ok {
					over[rooted] = text
				} else {
					over["releases/iris/"+file] = text
				}
			}
			if name == "sibling by prefix" {
				over["releases/iris-other/serving.yaml"] = string(sound["releases/iris/serving.yaml"].Data)
			}
			fsys := iris(t, over)
			_, err := render.Release(fsys, release(t, fsys), modelImage)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			after, err := render.Release(sound, release(t, sound), modelImage)
			if err != nil || after.Hash != before.Hash {
				t.Errorf("the next build changed: %v", err)
			}
		})
	}
}

// TestComponentsMayNotTake: what the base and the accelerator have, by lists that have no keys.
func TestComponentsMayNotTake(t *testing.T) {
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    "
	deployment := string(iris(t, nil)["runtimes/iris-server/0.1.0/deployment.yaml"].Data)
	deployment = strings.Replace(deployment, "      containers:\n", "      volumes: [{name: tmp, emptyDir: {}}]\n      containers:\n", 1)
	deployment = strings.Replace(deployment, "          ports:\n", "          env: [{name: A, value: b}]\n          volumeMounts: [{name: tmp, mountPath: /tmp}]\n          ports:\n", 1)
	serving := string(iris(t, nil)["releases/iris/serving.yaml"].Data) + "  accelerator: gpu\n  gpus: 1\n"
	for patch, want := range map[string]string{
		"- {op: add, path: /spec/template/spec/volumes, value: [{name: cache, emptyDir: {}}]}":                                              "the volume tmp",
		"- {op: add, path: /spec/template/spec/containers/0/volumeMounts, value: []}":                                                       "the mount tmp",
		"- {op: add, path: /spec/template/spec/tolerations, value: []}":                                                                     "the toleration",
		"- {op: remove, path: /spec/template/spec/containers/0/resources}":                                                                  "the GPUs",
		"- {op: remove, path: /spec/template/spec/containers/0/env/1}":                                                                      "the variable A",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {tolerations: [{key: a}]}}}}":                 "the toleration",
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, env: null}]}}}}": "the variable A",
	} {
		fsys := iris(t, map[string]string{
			"releases/iris/kustomization.yaml": head + patch + "\n", "releases/iris/serving.yaml": serving,
			"runtimes/iris-server/0.1.0/deployment.yaml": deployment,
		})
		if _, err := render.Release(fsys, release(t, fsys), modelImage); err == nil || !strings.Contains(err.Error(), "a Component took "+want) {
			t.Errorf("%s: error %v, want one with %q", patch, err, want)
		}
	}
}

// TestOthersBesideTheServer: pods and Services that a Component adds are the release's own, too.
func TestOthersBesideTheServer(t *testing.T) {
	fsys := iris(t, map[string]string{
		"releases/iris/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n",
		"releases/iris/a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: router}\nspec: {selector: {matchLabels: {app: router}}, template: {metadata: {labels: {app: router}}, spec: {containers: [{name: a, image: a}]}}}\n" +
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: router}\nspec: {selector: {app: router}, ports: [{port: 80}]}\n" +
			"---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n",
	})
	out, err := render.Release(fsys, release(t, fsys), modelImage)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"app": "router", "davit.dev/release": "iris"}
	for _, o := range out.Objects {
		if o.GetKind() == "Job" {
			if got, _, _ := unstructured.NestedString(o.Object, "spec", "template", "metadata", "labels", "davit.dev/release"); got != "iris" {
				t.Errorf("the Job's pods are %q's", got)
			}
		}
		if o.GetName() != "iris-router" {
			continue
		}
		at := [][]string{{"spec", "selector"}}
		if o.GetKind() == "Deployment" {
			at = [][]string{{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}}
		}
		for _, path := range at {
			if got, _, _ := unstructured.NestedMap(o.Object, path...); !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: %v, want %v", o.GetKind(), strings.Join(path, "."), got, want)
			}
		}
	}
}

// TestComponentsMayAdd: what loses nothing is nobody's mistake.
func TestComponentsMayAdd(t *testing.T) {
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    "
	for name, patch := range map[string]string{
		"sidecar with arguments":          "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: proxy, image: x, args: [a]}]}}}}",
		"variable":                        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{name: server, env: [{name: A, value: b}]}]}}}}",
		"sidecar":                         "- {op: add, path: /spec/template/spec/containers/0, value: {name: proxy, image: x, args: [a]}}",
		"commit that looks like a number": "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, labels: {commit: '12e34567'}}, spec: {template: {metadata: {annotations: {commit: '12e34567'}}, spec: {nodeSelector: {commit: '12e34567'}, tolerations: [{key: commit, value: '12e34567'}], containers: [{name: server, env: [{name: COMMIT, value: '12e34567'}]}]}}}}",
		"variable by operation":           "- {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: A, value: b}}",
	} {
		t.Run(name, func(t *testing.T) {
			fsys := iris(t, map[string]string{"releases/iris/kustomization.yaml": head + patch + "\n"})
			out, err := render.Release(fsys, release(t, fsys), modelImage)
			if err != nil || !strings.Contains(string(out.YAML), "--model-name=iris") || !strings.Contains(string(out.YAML), "DAVIT_MODEL_PATH") {
				t.Errorf("error %v\n%v", err, out)
			}
		})
	}
}

// chain is folders a0, a1, … each with a number of references to the next.
func chain(length, references int) map[string]string {
	out := map[string]string{}
	for i := range length {
		text := "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\n"
		if i < length-1 {
			text += "components: [" + strings.TrimSuffix(strings.Repeat(fmt.Sprintf("../a%d, ", i+1), references), ", ") + "]\n"
		}
		out[fmt.Sprintf("a%d/kustomization.yaml", i)] = text
	}
	return out
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("n%d.txt", i))
	}
	return names
}

func many(n int, text string) map[string]string {
	out := map[string]string{}
	for _, name := range numbered(n) {
		out[name] = text
	}
	return out
}

// TestFaultyBase changes the runtime.
func TestFaultyBase(t *testing.T) {
	const dir = "runtimes/iris-server/0.1.0/"
	for name, c := range map[string]struct{ file, old, new, want string }{
		"runtime.yaml as a resource": {"kustomization.yaml", "- service.yaml", "- runtime.yaml", dir + "runtime.yaml:1: kind Runtime is davit's own"},
		"no such workload":           {"deployment.yaml", "name: runtime", "name: other", dir + `runtime.yaml:1: the base has no Deployment "runtime"`},
		"no such Service":            {"service.yaml", "name: runtime", "name: other", dir + `runtime.yaml:1: the base has no Service "runtime"`},
		"no such container":          {"deployment.yaml", "name: server", "name: other", dir + `runtime.yaml:1: Deployment "runtime" has no container "server"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(iris(t, nil)[dir+c.file].Data), c.old, c.new, 1)
			fsys := iris(t, map[string]string{dir + c.file: text})
			_, err := render.Release(fsys, release(t, fsys), modelImage)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestOtherEnvironmentsFilesDoNotMatter lays a hostile Component over staging.
func TestOtherEnvironmentsFilesDoNotMatter(t *testing.T) {
	fsys := iris(t, map[string]string{
		"releases/iris/kustomization.yaml":         "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: []\n",
		"releases/iris/staging/kustomization.yaml": "openapi: {path: a}\n",
		"releases/iris/notes.yaml":                 "a: &a [*a]\n",
	})
	if _, err := render.Release(fsys, release(t, fsys), modelImage); err != nil {
		t.Error(err)
	}
}

func TestGPUsWithoutAccelerator(t *testing.T) {
	fsys := iris(t, nil)
	r := *release(t, fsys)
	r.Serving.GPUs = 1
	if _, err := render.Release(fsys, &r, modelImage); err == nil || !strings.Contains(err.Error(), "gpus: 1 without an accelerator") {
		t.Errorf("error %v", err)
	}
}

func TestModelImageWithoutDigest(t *testing.T) {
	fsys := iris(t, nil)
	if _, err := render.Release(fsys, release(t, fsys), "example.com/models/iris:v1"); err == nil || !strings.Contains(err.Error(), "has no digest") {
		t.Errorf("error %v", err)
	}
}

func TestSymlinkIsRefused(t *testing.T) {
	const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [a.yaml]\n"
	fsys := iris(t, map[string]string{"releases/iris/kustomization.yaml": component})
	fsys["releases/iris/a.yaml"] = &fstest.MapFile{Data: []byte("../../davit.yaml"), Mode: fs.ModeSymlink}
	if _, err := render.Release(fsys, release(t, fsys), modelImage); err == nil || !strings.Contains(err.Error(), "releases/iris/a.yaml:1: symlinks") {
		t.Errorf("error %v", err)
	}
}

// TestQuiet: a library does not write to the process's stderr.
func TestQuiet(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stderr
	os.Stderr = out
	log.SetOutput(out)
	fsys := iris(t, nil)
	_, err = render.Release(fsys, release(t, fsys), modelImage)
	os.Stderr = was
	log.SetOutput(was)
	out.Close()
	text := make([]byte, 100)
	if n, _ := in.Read(text); err != nil || n > 0 {
		t.Errorf("%v; stderr: %s", err, text[:n])
	}
}
