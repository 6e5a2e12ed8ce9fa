package render_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/render"
)

const spec = `apiVersion: davit.dev/v1alpha1
kind: Training
spec:
  environment: training
  image: 127.0.0.1:5000/trainer@sha256:1111111111111111111111111111111111111111111111111111111111111111
  baseVersion: v1
  nodes: 2
`

// TestHostileTraining lays one hostile Component over a training of two nodes, with JobSet and without: each is
// refused by its place. Files are below models/iris/training/tune, or from the root with a leading slash.
func TestHostileTraining(t *testing.T) {
	const head = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	const widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n"
	const dir = "models/iris/training/tune/"
	type files = map[string]string
	patch := func(text string) string { return "patches:\n- target: {kind: Job}\n  patch: '" + text + "'\n" }
	for name, c := range map[string]struct {
		component string
		files     files
		want      string
		jobOnly   bool // a JobSet has none of it
	}{
		"https":               {component: "resources:\n- https://example.com/a.yaml\n", want: dir + `kustomization.yaml:4: remote resource "https://example.com/a.yaml"`},
		"arguments":           {component: "patches:\n- target: {kind: Job}\n  patch: '{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {containers: [{name: trainer, args: [--lr=9]}]}}}}'\n", want: "args replaces what the layers below say"},
		"no variables":        {component: patch("- {op: replace, path: /spec/template/spec, value: {containers: [{name: trainer, image: x, env: [{name: DAVIT_RUN, value: a}]}]}}"), want: "a Component took the variable"},
		"outside":             {component: "resources: [../../model.yaml]\n", want: "is not a file or folder below models/iris/training/tune"},
		"the training itself": {component: "resources: [../tune.yaml]\n", want: "is not a file or folder"},
		"openapi":             {component: "openapi: {path: schema.json}\n", want: dir + "kustomization.yaml:3: openapi is refused"},
		"configurations":      {component: "configurations: [a.yaml]\n", files: files{"a.yaml": "nameReference: []"}, want: "configurations is refused"},
		"helm":                {component: "helmCharts: [{name: a, repo: 'https://example.com'}]\n", want: "helmCharts is refused"},
		"transformers":        {component: "transformers: [a.yaml]\n", want: "transformers is refused"},
		"namespace":           {component: "namespace: kube-system\n", want: "namespace is refused"},
		"function":            {component: "resources: [a.yaml]\n", files: files{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {config.kubernetes.io/function: x}}\n"}, want: dir + "a.yaml:3: annotation"},
		"anchors":             {component: "resources: &a [b.yaml]\n", want: "anchors and aliases"},
		"copies":              {component: "patches:\n- target: {kind: Job}\n  patch: |-\n" + strings.Repeat("    - {op: copy, from: /spec, path: /spec/x}\n", 17), want: "more than 16 copies"},
		"cluster scope":       {component: "resources: [a.yaml]\n", files: files{"a.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n"}, want: dir + "a.yaml:2: kind ClusterRole is not namespaced"},
		"davit's own kinds":   {component: "resources: [a.yaml]\n", files: files{"a.yaml": spec}, want: "kind Training is davit's own"},
		"merge on a CRD":      {component: "resources: [w.yaml]\npatches:\n- target: {name: .*}\n  patch: |-\n    {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", files: files{"w.yaml": widget}, want: "takes in example.com/v1 Widget"},
		"merge on a JobSet":   {component: "patches:\n- target: {kind: JobSet}\n  patch: |-\n    {apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: a}}\n", want: "a strategic merge patch on jobset.x-k8s.io/v1alpha2 JobSet"},
		"environment's":       {files: files{"/environments/training/kustomization.yaml": head + "openapi: {path: a}\n"}, want: "environments/training/kustomization.yaml:3: openapi is refused"},
		"accelerator's":       {files: files{"/accelerators/gpu/kustomization.yaml": head + "openapi: {path: a}\n"}, want: "accelerators/gpu/kustomization.yaml:3: openapi is refused"},

		"rename":    {component: "patches:\n- target: {kind: Job}\n  options: {allowNameChange: true}\n  patch: '- {op: replace, path: /metadata/name, value: other}'\n", want: "Job"},
		"container": {component: patch("- {op: replace, path: /spec/template/spec/containers/0/name, value: other}"), want: "models/iris/training/tune.yaml:1: a Component"},
		"elsewhere": {component: patch("- {op: add, path: /metadata/namespace, value: kube-system}"), want: "building training/" + run},
		"removed":   {component: "patches:\n- patch: '{apiVersion: batch/v1, kind: Job, metadata: {name: training}, $patch: delete}'\n", want: "Job"},
		"Service":   {component: "patches:\n- patch: '{apiVersion: v1, kind: Service, metadata: {name: training}, $patch: delete}'\n", want: `removed Service "training"`, jobOnly: true},
		"suspend":   {component: patch("- {op: add, path: /spec/suspend, value: true}"), want: `sets suspend of Job "training"`},
		"volume":    {component: patch("- {op: add, path: /spec/template/spec/volumes/-, value: {name: model, emptyDir: {}}}"), want: `changed the volume "model"`},
		"mount":     {component: patch("- {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: shm, mountPath: /mnt/model/models}}"), want: "mounts over /mnt/model"},
		"selector":  {component: "resources: [a.yaml]\n", files: files{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {davit.dev/model: iris}}, template: {metadata: {labels: {davit.dev/model: iris}}, spec: {containers: [{name: x, image: x}]}}}\n"}, want: "selects the release's pods as well"},
	} {
		for _, features := range []string{"", "jobset"} {
			if c.jobOnly && features != "" {
				continue
			}
			t.Run(name+" "+features, func(t *testing.T) {
				over := files{
					"environments/training/environment.yaml": "apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {capabilities: {features: [" + features + "]}}\n",
					"models/iris/training/tune.yaml":         spec + "  accelerator: gpu\n",
				}
				if c.component != "" {
					over[dir+"kustomization.yaml"] = head + c.component
				}
				for file, text := range c.files {
					if rooted, ok := strings.CutPrefix(file, "/"); ok {
						over[rooted] = text
					} else {
						over[dir+file] = text
					}
				}
				fsys := iris(t, over)
				if _, err := render.Training(fsys, tune(t, fsys), runHash, modelImage); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one with %q", err, c.want)
				}
			})
		}
	}
}

// TestComponentsCanNot lays over a training what a Component may write and davit's last layer takes back.
func TestComponentsCanNot(t *testing.T) {
	fsys := iris(t, map[string]string{
		"environments/training/environment.yaml": "apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {namespace: ml}\n",
		"models/iris/training/tune.yaml":         strings.Replace(spec, "  nodes: 2\n", "", 1),
		"models/iris/training/tune/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
labels: [{pairs: {davit.dev/run: other}, includeTemplates: true}]
images: [{name: 127.0.0.1:5000/trainer, newName: example.com/other, newTag: latest}]
patches:
- target: {kind: Job}
  patch: |-
    - {op: add, path: /spec/completions, value: 5}
    - {op: add, path: /spec/parallelism, value: 5}
    - {op: replace, path: /spec/template/spec/restartPolicy, value: OnFailure}
`})
	got, err := render.Training(fsys, tune(t, fsys), runHash, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"namespace: ml\n", "completions: 1\n", "parallelism: 1\n", "restartPolicy: Never\n", "image: 127.0.0.1:5000/trainer@sha256:1111"} {
		if !strings.Contains(string(got.YAML), want) {
			t.Errorf("no %q in\n%s", want, got.YAML)
		}
	}
	for _, not := range []string{"other", "OnFailure"} {
		if strings.Contains(string(got.YAML), not) {
			t.Errorf("%q is in\n%s", not, got.YAML)
		}
	}
}

func TestTrainingArguments(t *testing.T) {
	fsys := iris(t, map[string]string{
		"environments/training/environment.yaml": "apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {}\n",
		"models/iris/training/tune.yaml":         spec,
	})
	based := tune(t, fsys)
	scratch := *based
	scratch.BaseVersion = nil
	for _, c := range []struct {
		hash, image, want string
		scratch           bool
	}{
		{runHash, "", "has no digest", false},
		{runHash, "example.com/models/iris:v1", "has no digest", false},
		{runHash, modelImage, "has no base version", true},
		{run, modelImage, "is no hash of a run of training iris/tune", false},
		{"", modelImage, "is no hash of a run of training iris/tune", false},
	} {
		spec := based
		if c.scratch {
			spec = &scratch
		}
		if _, err := render.Training(fsys, spec, c.hash, c.image); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want one with %q", c, err, c.want)
		}
	}
}
