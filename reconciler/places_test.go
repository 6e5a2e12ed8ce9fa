package reconciler_test

import (
	"encoding/json"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestEnvironmentMovesCluster: a release is healthy in the environment's new cluster before it goes in the old one, and
// so it is when the environment moves to a namespace that its grant did not have.
func TestEnvironmentMovesCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace, home := w.id+"-davit", w.namespace("production")
	registries := w.grantRegistry(namespace)
	patch := func(grant v1alpha1.EnvironmentGrant) {
		t.Helper()
		data, err := json.Marshal(map[string]any{"spec": map[string]any{"environments": []any{grant}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registries.Patch(t.Context(), "models", "application/merge-patch+json", data, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	places := func() int {
		t.Helper()
		live, err := registries.Get(t.Context(), "models", get)
		if err != nil {
			t.Fatal(err)
		}
		list, _, _ := unstructured.NestedSlice(live.Object, "status", "places")
		return len(list)
	}
	stop := w.control("first", namespace, make(chan string, 1))
	defer stop()
	w.until(production, "v1", v1alpha1.Healthy)

	w.edit("environments/production/environment.yaml", "namespace: "+home, "namespace: "+home+"-new")
	w.commit("production goes to a namespace that is not granted yet")
	patch(v1alpha1.EnvironmentGrant{Name: "production", Namespaces: []string{home + "-new"}})
	w.until(production, "v1", v1alpha1.Healthy)
	w.gone(home)
	w.eventually("forgotten where it was", func() bool { return places() == 1 })

	other, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Stop(); err != nil {
			t.Error(err)
		}
	})
	kubeconfig, err := os.ReadFile(other.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", other.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	there, err := cluster.New(t.Context(), cluster.Config{REST: config})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Data: map[string][]byte{"kubeconfig": kubeconfig}}
	if _, err := w.kubectl().CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch(v1alpha1.EnvironmentGrant{
		Name: "production", Namespaces: []string{home + "-new"}, Cluster: &v1alpha1.SecretKey{Secret: "other", Key: "kubeconfig"},
	})
	w.until(production, "v1", v1alpha1.Healthy)
	mr, err := there.Release(t.Context(), home+"-new", "production", "iris")
	if err != nil || mr == nil || mr.Status.Phase != v1alpha1.Healthy {
		t.Fatalf("in the new cluster: %+v %v", mr, err)
	}
	w.gone(home + "-new")
	w.eventually("forgotten where it was", func() bool { return places() == 1 })
	if left, err := w.kubectl().AppsV1().Deployments(home+"-new").List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
