package cluster_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestInstalled: what was created before the CRD or the namespace it was in went with the ones of before, and nobody asked
// for it to be deleted.
func TestInstalled(t *testing.T) {
	c, ns := open(t)
	uninstalled := func(err error) bool { return errors.As(err, new(*cluster.UninstalledError)) }
	before, now := metav1.NewTime(time.Now().Add(-time.Hour)), metav1.Now()
	for _, created := range []metav1.Time{before, now} {
		mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: ns, CreationTimestamp: created}}
		if err := c.Installed(t.Context(), mr); uninstalled(err) != (created == before) || !uninstalled(err) && err != nil {
			t.Errorf("created %s: %v", created, err)
		}
		release := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Name: "production.iris", Namespace: ns, CreationTimestamp: created}}
		if err := c.KindInstalled(t.Context(), release); uninstalled(err) != (created == before) || !uninstalled(err) && err != nil {
			t.Errorf("created %s: %v", created, err)
		}
	}
	mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: "nowhere", CreationTimestamp: now}}
	if err := c.Installed(t.Context(), mr); !uninstalled(err) {
		t.Errorf("its namespace is gone: %v", err)
	}
}

// TestStatusOfAnother: what was followed by a ModelRegistry that is gone is not written to one of its name.
func TestStatusOfAnother(t *testing.T) {
	c, ns := open(t)
	registries := dynamic.NewForConfigOrDie(restConfig).Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace(ns)
	create := func() *v1alpha1.ModelRegistry {
		t.Helper()
		live, err := registries.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.RegistryKind, "metadata": map[string]any{"name": "models"},
			"spec": map[string]any{"url": "https://git.example.com/models", "environments": []any{map[string]any{"name": "production", "namespaces": []any{ns}}}},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: ns, UID: live.GetUID()}}
	}
	tell := func(mr *v1alpha1.ModelRegistry) string {
		t.Helper()
		err := c.WriteRegistryStatus(t.Context(), mr, func(live *v1alpha1.ModelRegistry) { live.Status.Revision = "main@sha1:aaaaaaaaaaaa" })
		if err != nil {
			t.Fatal(err)
		}
		live, err := registries.Get(t.Context(), "models", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		revision, _, _ := unstructured.NestedString(live.Object, "status", "revision")
		return revision
	}
	first := create()
	if tell(first) == "" {
		t.Error("its own status is not written")
	}
	if err := registries.Delete(t.Context(), "models", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	create()
	if got := tell(first); got != "" {
		t.Errorf("another one is at %s", got)
	}
}
