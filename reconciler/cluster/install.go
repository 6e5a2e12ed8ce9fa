package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
)

// Install applies davit's CRDs and returns their names when the API server serves them.
func (c *Cluster) Install(ctx context.Context) (names []string, err error) {
	var all []*unstructured.Unstructured
	for _, file := range [][]byte{crds.ModelReleases, crds.ModelRegistries} {
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(file, &crd.Object); err != nil {
			return nil, fmt.Errorf("reading a CRD: %w", err)
		}
		all, names = append(all, crd), append(names, crd.GetName())
	}
	return names, c.Setup(ctx, all, false, func(string, Change) {})
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
