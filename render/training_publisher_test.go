package render_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

const publisherImage = "127.0.0.1:5000/davit@sha256:2222222222222222222222222222222222222222222222222222222222222222"

// published lays a training's Component over the example, where the environment names a publisher and the features.
func published(t *testing.T, features, component string) fstest.MapFS {
	t.Helper()
	over := map[string]string{
		"environments/training/environment.yaml": "apiVersion: davit.dev/v1alpha1\nkind: Environment\nspec: {capabilities: {features: [" + features + "]}, publisher: {image: '" + publisherImage + "', pushSecret: push}}\n",
		"models/iris/training/tune.yaml":         spec,
	}
	if component != "" {
		over["models/iris/training/tune/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" + component
	}
	return iris(t, over)
}

// TestHostilePublished refuses Components that could do without a publisher and can't with one, with JobSet and without.
func TestHostilePublished(t *testing.T) {
	const start = "models/iris/training/tune.yaml:1: a Component "
	patch := func(op string) string { return "patches:\n- target: {kind: Job}\n  patch: '- " + op + "'\n" }
	add := func(at, v string) string {
		return patch("{op: add, path: /spec/template/spec/" + at + ", value: " + v + "}")
	}
	for name, c := range map[string]struct{ component, want string }{
		"sidecar":               {add("containers/-", "{name: sidecar, image: x}"), start + `adds container "sidecar", which would start only when the trainer has ended`},
		"sidecar before":        {add("containers/0", "{name: sidecar, image: x}"), "add it to initContainers with restartPolicy: Always"},
		"sidecar without name":  {add("containers/-", "{image: x}"), `its container "trainer"`},
		"two trainers":          {add("containers/-", "{name: trainer, image: x}"), `its container "trainer"`},
		"publisher":             {add("containers/-", "{name: publisher, image: x}"), start + `adds "publisher" to containers, which is davit's own name`},
		"publisher at first":    {"patches:\n- target: {kind: Job}\n  patch: '{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {initContainers: [{name: publisher, image: x}]}}}}'\n", `adds "publisher" to initContainers`},
		"publisher's volume":    {add("volumes/-", "{name: publisher, emptyDir: {}}"), `adds "publisher" to volumes`},
		"renamed trainer":       {patch("{op: replace, path: /spec/template/spec/containers/0/name, value: publisher}"), `renamed or removed Job "training" or its container "trainer"`},
		"always":                {add("containers/0/restartPolicy", "Always"), start + `sets restartPolicy of container "trainer", which runs to its end before the publisher that environments/training/environment.yaml names; remove it`},
		"probe":                 {add("containers/0/livenessProbe", "{exec: {command: [a]}}"), "sets livenessProbe of container"},
		"lifecycle":             {add("containers/0/lifecycle", "{preStop: {exec: {command: [a]}}}"), "sets lifecycle of container"},
		"part of the volume":    {patch("{op: add, path: /spec/template/spec/containers/0/volumeMounts/1/subPath, value: a}"), "changes what the trainer has at /output"},
		"output elsewhere":      {patch("{op: replace, path: /spec/template/spec/containers/0/volumeMounts/1/mountPath, value: /elsewhere}"), "changes what the trainer has at /output"},
		"mounted over":          {add("containers/0/volumeMounts/-", "{name: shm, mountPath: /output/model}"), "changes what the trainer has at /output"},
		"mounted over, unclean": {add("containers/0/volumeMounts/-", "{name: shm, mountPath: /dev/../output/}"), "changes what the trainer has at /output"},
	} {
		for _, features := range []string{"", "jobset"} {
			t.Run(name+" "+features, func(t *testing.T) {
				fsys := published(t, features, c.component)
				if _, err := render.Training(fsys, tune(t, fsys), runHash, modelImage); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want one with %q", err, c.want)
				}
			})
		}
	}
}

// TestPublisherIsDavits: no Component reaches it, and a sidecar where Kubernetes has them is taken.
func TestPublisherIsDavits(t *testing.T) {
	const component = `images: [{name: 127.0.0.1:5000/davit, newName: example.com/other, newTag: latest}]
patches:
- target: {kind: Job}
  patch: |-
    apiVersion: batch/v1
    kind: Job
    metadata: {name: a}
    spec:
      template:
        spec:
          initContainers: [{name: sidecar, image: x, restartPolicy: Always}]
          containers: [{name: publisher, $patch: delete}]
`
	for _, features := range []string{"", "jobset"} {
		fsys := published(t, features, component)
		out, err := render.Training(fsys, tune(t, fsys), runHash, modelImage)
		if err != nil {
			t.Fatal(err)
		}
		plain := published(t, features, "")
		want, err := render.Training(plain, tune(t, plain), runHash, modelImage)
		if err != nil {
			t.Fatal(err)
		}
		pod := podOf(t, out)
		if got, want := pod["containers"], podOf(t, want)["containers"]; !reflect.DeepEqual(got, want) {
			t.Errorf("containers with %q:\n%v\nwant:\n%v", features, got, want)
		}
		if got := names(pod["initContainers"]); !reflect.DeepEqual(got, []string{"sidecar", "trainer"}) {
			t.Errorf("init containers with %q: %v", features, got)
		}
	}
}

// TestRunSpec: what the publisher is told is what the training says, whatever Kubernetes reads in its values.
func TestRunSpec(t *testing.T) {
	fsys := published(t, "", "")
	text := spec + "  hyperparameters: {lr: 0.10, note: \"$(HOME) $$\", fast: true}\n  seed: 0\n" +
		"  datasets: [{name: flowers, uri: \"s3://data/$(HOME)\"}]\n"
	fsys["models/iris/training/tune.yaml"] = &fstest.MapFile{Data: []byte(text)}
	out, err := render.Training(fsys, tune(t, fsys), runHash, modelImage)
	if err != nil {
		t.Fatal(err)
	}
	container := podOf(t, out)["containers"].([]any)[0].(map[string]any)
	value := container["env"].([]any)[0].(map[string]any)
	if value["name"] != registry.PublishVariable {
		t.Fatal(value)
	}
	// As Kubernetes expands it.
	told := strings.ReplaceAll(value["value"].(string), "$$", "$")
	var got registry.RunSpec
	if err := json.Unmarshal([]byte(told), &got); err != nil {
		t.Fatal(err)
	}
	seed := int64(0)
	want := registry.RunSpec{
		Repository: "127.0.0.1:5000/models/iris", Model: "iris", Training: "iris/tune", Run: run, Hash: runHash,
		Image: "127.0.0.1:5000/trainer@sha256:" + strings.Repeat("1", 64), BaseVersion: "iris@v1",
		Datasets: []registry.RunDataset{{Name: "flowers", URI: "s3://data/$(HOME)"}},
		Hyperparameters: map[string]json.RawMessage{
			"lr": json.RawMessage("0.10"), "note": json.RawMessage(`"$(HOME) $$"`), "fast": json.RawMessage("true"),
		},
		Seed: &seed,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestFailureOfPublished has the real Job controller judge how a pod's containers ended, which stands in for a kubelet
// here: it finds the trainer's exit code among those of the init containers, and says so in the words that a JobSet's
// rules look for.
func TestFailureOfPublished(t *testing.T) {
	kubectl := restricted(t)
	for i, c := range []struct {
		list, container string
		code            int
		want            string // the Job's reason and message
	}{
		{"initContainerStatuses", "trainer", 2, `^PodFailurePolicy Container trainer for pod \S+ failed with exit code 2 `},
		{"initContainerStatuses", "trainer", 1, `^BackoffLimitExceeded `},
		{"containerStatuses", "publisher", registry.NotAModel, `^PodFailurePolicy Container publisher for pod \S+ failed with exit code 3 `},
		{"containerStatuses", "publisher", 1, `^BackoffLimitExceeded `},
	} {
		fsys := published(t, "", "")
		fsys["models/iris/training/tune.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(spec, "  nodes: 2\n", "", 1))}
		hash := fmt.Sprintf("%08x", i) + runHash[8:]
		out, err := render.Training(fsys, tune(t, fsys), hash, modelImage)
		if err != nil {
			t.Fatal(err)
		}
		job := "job/tune-" + hash[:8]
		kubectl(out.YAML, "apply", "--server-side", "-f", "-")
		kubectl(nil, "wait", "-n", "training", job, "--for=jsonpath={.status.active}=1", "--timeout=300s")
		pod := strings.TrimSpace(kubectl(nil, "get", "pods", "-n", "training", "-l", "davit.dev/run=tune-"+hash[:8], "-o", "name"))
		status := fmt.Sprintf(`{"status":{"phase":"Failed",%q:[{"name":%q,"image":"x","imageID":"","ready":false,"restartCount":0,"state":{"terminated":{"exitCode":%d}}}]}}`,
			c.list, c.container, c.code)
		kubectl(nil, "patch", "-n", "training", pod, "--subresource=status", "--type=merge", "-p", status)
		kubectl(nil, "wait", "-n", "training", job, "--for=condition=Failed", "--timeout=300s")
		got := kubectl(nil, "get", "-n", "training", job, "-o", `jsonpath={.status.conditions[?(@.type=="Failed")].reason} {.status.conditions[?(@.type=="Failed")].message}`)
		if !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s ended with %d: %q, want %s", c.container, c.code, got, c.want)
		}
	}
}

// podOf is the spec of the run's pods.
func podOf(t *testing.T, out *render.Output) map[string]any {
	t.Helper()
	for _, o := range out.Objects {
		if pod, ok, _ := unstructured.NestedMap(inside(t, o).Object, "spec", "template", "spec"); ok {
			return pod
		}
	}
	t.Fatalf("no pods in\n%s", out.YAML)
	return nil
}

func names(list any) (out []string) {
	for _, e := range list.([]any) {
		out = append(out, e.(map[string]any)["name"].(string))
	}
	return out
}
