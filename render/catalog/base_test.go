package catalog_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/render/catalog"
)

// build builds a folder of files by Kustomize: dir, below /catalog.
func build(t *testing.T, files map[string][]byte, dir string) resmap.ResMap {
	t.Helper()
	memory := filesys.MakeFsInMemory()
	for name, data := range files {
		if err := memory.WriteFile(path.Join("/catalog", name), data); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, path.Join("/catalog", dir))
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// bases are the folders of all runtimes that a release may be built on.
func bases(t *testing.T, f func(t *testing.T, rt catalog.Runtime, built resmap.ResMap)) {
	for _, rt := range catalog.Runtimes() {
		dirs := []string{"."}
		if m := spec(t, rt).MultiNode; m != nil {
			dirs = append(dirs, m.Base)
		}
		for _, dir := range dirs {
			t.Run(path.Join(rt.Name, dir), func(t *testing.T) { f(t, rt, build(t, rt.Files("", ""), dir)) })
		}
	}
}

func decode[T any](t *testing.T, res *resource.Resource) (out T) {
	t.Helper()
	m, err := res.Map()
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(m, &out, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBases wants of each base what davit counts on: names, ports and probes that fit runtime.yaml, nothing that a Serving
// says, and a container that may do no more than it needs.
func TestBases(t *testing.T) {
	bases(t, func(t *testing.T, rt catalog.Runtime, built resmap.ResMap) {
		want := spec(t, rt)
		ports := map[string]bool{}
		for _, res := range built.Resources() {
			switch res.GetKind() {
			case "Deployment":
				d := decode[appsv1.Deployment](t, res)
				leader := d.Name == want.Workload.Name
				if !leader && (want.MultiNode == nil || d.Name != want.MultiNode.Worker) {
					t.Errorf("Deployment %s is nobody's", d.Name)
				}
				checkPod(t, d.Spec.Template.Spec, want.Container)
				if d.Spec.Replicas != nil || d.Spec.Strategy.Type != "" {
					t.Error("replicas and strategy are the Serving's")
				}
				for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
					if leader {
						ports[p.Name] = p.Name != "http" || int(p.ContainerPort) == want.Port
					}
				}
				if c := d.Spec.Template.Spec.Containers[0]; leader && (c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil) {
					t.Error("a probe is missing")
				}
			case "Service":
				s := decode[corev1.Service](t, res)
				if s.Name != want.Service || s.Spec.Ports[0].Name != "http" || s.Spec.Ports[0].Port != 80 {
					t.Errorf("Service %s: %v", s.Name, s.Spec.Ports)
				}
				for _, p := range s.Spec.Ports {
					defer func() {
						if !ports[p.TargetPort.String()] {
							t.Errorf("no container port %s, or not that of runtime.yaml", p.TargetPort.String())
						}
					}()
				}
				if named := func(p corev1.ServicePort) bool { return p.Name == want.Metrics.Port }; want.Metrics.Port != "" && !slices.ContainsFunc(s.Spec.Ports, named) {
					t.Errorf("the Service has no port %s, where the metrics are", want.Metrics.Port)
				}
			}
		}
	})
}

func checkPod(t *testing.T, pod corev1.PodSpec, container string) {
	t.Helper()
	off := func(b *bool) bool { return b != nil && !*b }
	on := func(b *bool) bool { return b != nil && *b }
	c := pod.Containers[0]
	if c.Name != container || len(pod.Containers) != 1 {
		t.Errorf("container %q, want %q alone", c.Name, container)
	}
	if len(c.Args) > 0 || c.Image != "" || len(c.Resources.Limits)+len(c.Resources.Requests) > 0 {
		t.Error("arguments, image and resources are davit's to write")
	}
	if !off(pod.AutomountServiceAccountToken) || !off(pod.EnableServiceLinks) || !on(pod.SecurityContext.RunAsNonRoot) {
		t.Error("the pod may do more than it needs")
	}
	if s := c.SecurityContext; !on(s.ReadOnlyRootFilesystem) || !off(s.AllowPrivilegeEscalation) {
		t.Error("the container may do more than it needs")
	}
	sleeps := c.Lifecycle.PreStop.Sleep.Seconds
	if grace := pod.TerminationGracePeriodSeconds; grace == nil || *grace <= sleeps {
		t.Errorf("it is killed while it sleeps for %d s", sleeps)
	}
}

// TestComponents lays each accelerator over every kind of object that may be its.
func TestComponents(t *testing.T) {
	const pods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: runtime}
spec: {template: {spec: {containers: [{name: server, image: a}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec: {template: {spec: {containers: [{name: server, image: a}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: other}
spec: {template: {spec: {containers: [{name: server, image: a}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: training}
spec: {template: {spec: {containers: [{name: train, image: a}], restartPolicy: Never}}}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: runtime}
spec: {predictor: {model: {modelFormat: {name: onnx}}}}
---
apiVersion: v1
kind: Service
metadata: {name: runtime}
spec: {ports: [{port: 80}]}
`
	kinds := []string{"Deployment", "Deployment", "StatefulSet", "Job", "InferenceService", "Service"}
	for _, acc := range catalog.Accelerators() {
		t.Run(acc.Name, func(t *testing.T) {
			files := map[string][]byte{
				"all/kustomization.yaml": []byte("resources: [pods.yaml]\ncomponents: [../" + acc.Name + "]\n"),
				"all/pods.yaml":          []byte(pods),
			}
			for name, data := range acc.Files() {
				files[path.Join(acc.Name, name)] = data
			}
			selected := strings.Contains(string(acc.Files()["kustomization.yaml"]), "nodeSelector")
			resources := build(t, files, "all").Resources()
			for i, res := range resources {
				object, err := res.Map()
				if err != nil {
					t.Fatal(err)
				}
				o := &unstructured.Unstructured{Object: object}
				if i >= len(kinds) {
					if o.GetKind() != "ResourceClaimTemplate" || acc.Counts != "claim "+o.GetName() {
						t.Errorf("%s %s is too much", o.GetKind(), o.GetName())
					}
					continue
				}
				if o.GetKind() != kinds[i] {
					t.Fatalf("%s became %s", kinds[i], o.GetKind())
				}
				at := []string{"spec", "template", "spec"}
				if o.GetKind() == "InferenceService" {
					at = []string{"spec", "predictor"}
				}
				pod, _, _ := unstructured.NestedMap(o.Object, at...)
				wantTolerations, wantSelector := o.GetKind() != "Service", selected && o.GetKind() != "Service"
				if acc.Feature != "" && o.GetKind() == "InferenceService" {
					wantTolerations = false // it can't claim
				}
				if (pod["tolerations"] != nil) != wantTolerations || (pod["nodeSelector"] != nil) != wantSelector {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), pod)
				}
			}
		})
	}
}
