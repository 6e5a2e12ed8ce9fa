package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// TestServer has a real API server, with all third-party APIs, check every object of the golden files and of the
// examples: unknown fields, what the kinds' schemas and expressions want, and what the Pod Security
// Standard "restricted" forbids.
func TestServer(t *testing.T) {
	s := start(t)
	t.Run("golden", func(t *testing.T) {
		for _, c := range combinations() {
			t.Run(c.String(), func(t *testing.T) {
				for _, o := range documents(t, filepath.Join(golden, c.String())) {
					s.check(t, o)
				}
			})
		}
	})
	t.Run("examples", func(t *testing.T) {
		dirs, err := filepath.Glob("../../examples/*/registry")
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no examples: %v", err)
		}
		for _, dir := range dirs {
			t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) { s.registry(t, os.DirFS(dir)) })
		}
	})
}

// registry checks every release and training of a registry, which must have no faults.
func (s *server) registry(t *testing.T, fsys fs.FS) {
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range models.Faults {
		t.Error(fault)
	}
	check := func(name string, out *render.Output, err error) {
		t.Run(name, func(t *testing.T) {
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Objects {
				s.check(t, o)
			}
		})
	}
	for _, r := range models.Releases {
		out, err := render.Release(fsys, r, modelImage)
		check(r.Key().String(), out, err)
	}
	for key, training := range models.Trainings {
		image := ""
		if training.BaseVersion != nil {
			image = modelImage
		}
		out, err := render.Training(fsys, training, zeros, image)
		check(key, out, err)
	}
}

// documents are the objects of a file.
func documents(t *testing.T, name string) (all []*unstructured.Unstructured) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), len(data)); ; {
		o := &unstructured.Unstructured{}
		if err := d.Decode(o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// server is an API server that is only asked.
type server struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	spaces map[string]bool // namespaces that exist
	said   *warnings
}

func start(t *testing.T) *server {
	t.Helper()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{APIs: devcluster.APIs(), Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{spaces: map[string]bool{}, said: &warnings{}}
	config.QPS, config.WarningHandlerWithContext = -1, s.said
	if s.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	asked, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(asked)
	if err != nil {
		t.Fatal(err)
	}
	s.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	return s
}

// check sends an object as davit applies it, in a dry run; what the server warns of is an error too. Pod Security knows no
// pods in third-party kinds, so that theirs are sent once more as what it knows.
func (s *server) check(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	s.namespace(t, o.GetNamespace())
	s.apply(t, o)
	for _, at := range [][]string{
		{"spec", "leaderWorkerTemplate", "leaderTemplate"}, {"spec", "leaderWorkerTemplate", "workerTemplate"},
	} {
		if template, found, _ := unstructured.NestedMap(o.Object, at...); found {
			s.apply(t, inside(o, "v1", "PodTemplate", map[string]any{"template": template}))
		}
	}
	jobs, _, _ := unstructured.NestedSlice(o.Object, "spec", "replicatedJobs")
	for _, job := range jobs {
		s.apply(t, inside(o, "batch/v1", "Job", job.(map[string]any)["template"].(map[string]any)))
	}
}

// inside is what o has in it, as an object.
func inside(o *unstructured.Unstructured, apiVersion, kind string, content map[string]any) *unstructured.Unstructured {
	content["apiVersion"], content["kind"] = apiVersion, kind
	content["metadata"] = map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
	return &unstructured.Unstructured{Object: content}
}

func (s *server) apply(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	gvk := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		t.Fatal(err)
	}
	data, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	force := true
	_, err = s.client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: "davit", Force: &force, DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		t.Errorf("%s %s: %v\n%s", o.GetKind(), o.GetName(), err, data)
	}
	for _, text := range s.said.take() {
		t.Errorf("%s %s: warning: %s\n%s", o.GetKind(), o.GetName(), text, data)
	}
}

// namespace makes one that lets in restricted pods only.
func (s *server) namespace(t *testing.T, name string) {
	t.Helper()
	if s.spaces[name] {
		return
	}
	s.spaces[name] = true
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name":   name,
		"labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"},
	}}}
	if _, err := s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// warnings are those of the server since they were last taken.
type warnings struct {
	mu   sync.Mutex
	text []string
}

var _ rest.WarningHandlerWithContext = (*warnings)(nil)

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.text
	w.text = nil
	return text
}
