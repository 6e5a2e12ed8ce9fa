package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
)

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// Install applies davit's CRDs and returns their names when the API server serves them.
func (c *Cluster) Install(ctx context.Context) (names []string, err error) {
	for _, file := range [][]byte{crds.ModelReleases, crds.ModelRegistries} {
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(file, &crd.Object); err != nil {
			return nil, fmt.Errorf("reading a CRD: %w", err)
		}
		if err := c.install(ctx, crd); err != nil {
			return nil, fmt.Errorf("installing CRD %s: %w", crd.GetName(), err)
		}
		names = append(names, crd.GetName())
	}
	return names, nil
}

func (c *Cluster) install(ctx context.Context, crd *unstructured.Unstructured) error {
	body, err := json.Marshal(crd.Object)
	if err != nil {
		return err
	}
	client := c.dynamic.Resource(crdResource)
	if _, err := client.Patch(ctx, crd.GetName(), types.ApplyPatchType, body, applyOptions()); err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		live, err := client.Get(ctx, crd.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return established(live), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for it to be established: %w", err)
	}
	return nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return true
		}
	}
	return false
}

// EnsureNamespace creates the namespace unless it exists. It asks once: a namespace that goes away later is
// found missing by Claim, and asked for again after that.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string) error {
	if _, ok := c.present.Load(name); ok {
		return nil
	}
	namespaces := c.typed.CoreV1().Namespaces()
	_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err = namespaces.Create(ctx, ns, metav1.CreateOptions{FieldManager: Manager})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("ensuring namespace %s: %w", name, err)
	}
	c.present.Store(name, true)
	return nil
}

func applyOptions() metav1.PatchOptions {
	force := true
	return metav1.PatchOptions{FieldManager: Manager, Force: &force, FieldValidation: metav1.FieldValidationStrict}
}
