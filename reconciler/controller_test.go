package reconciler_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// control runs a controller as holder until it is stopped; leads receives its name when it leads.
func (w *world) control(holder, namespace string, leads chan<- string) (stop func()) {
	w.t.Helper()
	own, err := cluster.New(w.t.Context(), cluster.Config{REST: restConfig(w.t), Owner: "davit", Holder: holder, Namespaces: []string{namespace}})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	mirrors := w.t.TempDir()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() {
		done <- own.Lead(ctx, namespace, "davit", func(ctx context.Context) error {
			select {
			case leads <- holder:
			default: // nobody asks
			}
			return reconciler.Control(ctx, reconciler.ControllerConfig{
				Cluster: own, Namespace: namespace, Mirrors: mirrors, Images: images, Log: slog.New(slog.DiscardHandler), MetricsInterval: 2 * time.Second,
				Report: func(p reconciler.Report) { w.reports <- p },
			})
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			w.t.Error(err)
		}
	}
}

// grantRegistry creates a ModelRegistry whose production environment is a service account's that may write
// Deployments and Services there and nothing else.
func (w *world) grantRegistry(namespace string) dynamic.ResourceInterface {
	w.t.Helper()
	ctx, client, production := w.t.Context(), w.kubectl(), w.namespace("production")
	for _, name := range []string{namespace, production} {
		if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "models"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"*"}},
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"*"}},
	}}
	if _, err := client.RbacV1().Roles(production).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "models"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "models"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: production, Name: "models"}},
	}
	if _, err := client.RbacV1().RoleBindings(production).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	registry := v1alpha1.ModelRegistry{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.RegistryKind},
		ObjectMeta: metav1.ObjectMeta{Name: "models"},
		Spec: v1alpha1.ModelRegistrySpec{URL: w.dir, Environments: []v1alpha1.EnvironmentGrant{{
			Name: "production", Namespaces: []string{production}, Kinds: []string{"Deployment.apps", "Service"},
			ServiceAccount: &v1alpha1.ServiceAccount{Namespace: production, Name: "models"},
		}}},
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&registry)
	if err != nil {
		w.t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	resource := dyn.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace(namespace)
	if _, err := resource.Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return resource
}

// TestController follows a ModelRegistry with the rights it grants; a standby takes over within seconds and
// applies nothing that is applied.
func TestController(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	leads := make(chan string, 10)
	stopFirst := w.control("first", namespace, leads)
	if leader := <-leads; leader != "first" {
		t.Fatalf("%s leads", leader)
	}
	w.until(production, "v1", v1alpha1.Healthy)
	if mr, err := w.cluster.Release(t.Context(), w.namespace("staging"), "staging", "iris"); mr != nil || err != nil {
		t.Errorf("an environment without a grant was touched: %v %v", mr, err)
	}
	mr := w.release("production")
	if mr.Spec.Owner != namespace+"/models" || mr.Spec.Claim.Holder != "first" {
		t.Errorf("claimed %+v", mr.Spec)
	}
	before := w.deployment("iris")
	stopSecond := w.control("second", namespace, leads)
	defer stopSecond()

	ended := time.Now()
	stopFirst()
	for leader := <-leads; leader != "second"; leader = <-leads { // the first may have lost the Lease for a moment
	}
	t.Logf("the standby led %s after the leader was told to end", time.Since(ended))
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.until(production, "v2", v1alpha1.Healthy)
	t.Logf("and had v2 healthy after %s", time.Since(ended))
	if mr := w.release("production"); mr.Spec.Claim.Token != 2 || mr.Spec.Claim.Holder != "second" {
		t.Errorf("claimed %+v", mr.Spec.Claim)
	}
	if after := w.deployment("iris"); after.Generation != before.Generation+1 {
		t.Errorf("generation %d after one promotion from %d", after.Generation, before.Generation)
	}
	w.eventually("told in the ModelRegistry's status", func() bool {
		live, err := registries.Get(t.Context(), "models", get)
		if err != nil {
			t.Fatal(err)
		}
		revision, _, _ := unstructured.NestedString(live.Object, "status", "revision")
		return strings.HasSuffix(revision, w.git("rev-parse", "--short=12", "HEAD"))
	})

	// A kind that the grant does not have is refused, and told.
	w.edit("runtimes/iris-server/0.1.0/kustomization.yaml", "  - service.yaml", "  - service.yaml\n  - config.yaml")
	w.write("runtimes/iris-server/0.1.0/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n")
	w.commit("a kind that was not granted")
	held := w.drain("production", "held", func(s v1alpha1.ModelReleaseStatus) bool { return s.Held != nil })
	if !strings.Contains(held.Held.Reason, "ConfigMap") {
		t.Errorf("held: %s", held.Held.Reason)
	}
	// The spec may change while it runs.
	patch := []byte(`{"spec":{"environments":[{"name":"production","namespaces":["elsewhere"]}]}}`)
	if _, err := registries.Patch(t.Context(), "models", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("told of the new generation", func() bool {
		live, err := registries.Get(t.Context(), "models", get)
		if err != nil {
			t.Fatal(err)
		}
		seen, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
		return seen == live.GetGeneration()
	})
}

// TestGrantedBounds: whatever the repository says, a ModelRegistry's grant bounds how short a bake is, where weights
// come from, what the API server allows, and how many releases one commit removes.
func TestGrantedBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second", "third")
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  prune: {maxDeletions: 10}")
	w.commit("three releases, and deletions ten at a time")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	const minBake = 2 * time.Second
	patch := []byte(`[
		{"op": "add", "path": "/spec/environments/0/minBake", "value": "` + minBake.String() + `"},
		{"op": "add", "path": "/spec/environments/0/maxDeletions", "value": 1},
		{"op": "add", "path": "/spec/environments/0/sources", "value": [{"prefix": "https://example.com/models/iris"}]},
		{"op": "add", "path": "/spec/environments/0/kinds/-", "value": "ConfigMap"}
	]`)
	if _, err := registries.Patch(t.Context(), "models", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	defer w.control("first", namespace, make(chan string, 10))()
	began := w.until(production, "v1", v1alpha1.Progressing)
	healthy := w.until(production, "v1", v1alpha1.Healthy)
	if took := healthy.Took - began.Took; took < minBake {
		t.Errorf("healthy after %s, and %s were granted", took, minBake)
	}

	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	from := "models/iris/files/v2/model.safetensors"
	for _, source := range []string{"https://example.com/models/iris-private/a", "https://example.com/models/iris/../private/a"} {
		w.edit("models/iris/versions/v2.yaml", "source: "+from, "source: "+source)
		w.commit("weights from " + source)
		w.drain("production", "refused the source", func(s v1alpha1.ModelReleaseStatus) bool {
			return s.Reason == "NotGranted" && strings.Contains(s.Message, source) && s.Applied.Version == "v1"
		})
		from = source
	}
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.commit("back at v1")

	// The kind is granted, and the service account may not write it.
	w.edit("runtimes/iris-server/0.1.0/kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - config.yaml\n")
	w.write("runtimes/iris-server/0.1.0/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n")
	w.commit("a ConfigMap")
	account := "system:serviceaccount:" + w.namespace("production") + ":models"
	w.drain("production", "refused by the API server", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Waiting && strings.Contains(s.Message, account)
	})
	w.git("revert", "--no-edit", "HEAD")
	w.all("second", "third")

	w.remove("releases/second")
	w.remove("releases/third")
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
	w.commit("two releases less, and a third changed")
	head := w.git("rev-parse", "HEAD")
	w.eventually("the third one healthy", func() bool { return w.status("production").Healthy.Commit == head })
	w.of("second")
	w.of("third")
}

// TestCredentialsGoOverHTTPOnly: a password in any other URL would be a program's argument, and refused it is told.
func TestCredentialsGoOverHTTPOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, StringData: map[string]string{"username": "ada", "password": "pl4nted-git"}}
	if _, err := w.kubectl().CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"credentials":"git"}}`)
	if _, err := registries.Patch(t.Context(), "models", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	defer w.control("first", namespace, make(chan string, 10))()
	w.eventually("refused", func() bool {
		live, err := registries.Get(t.Context(), "models", get)
		if err != nil {
			t.Fatal(err)
		}
		text, err := live.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "spec.credentials are for http, https and ssh URLs")
	})
	if mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris"); mr != nil || err != nil {
		t.Errorf("followed all the same: %v %v", mr, err)
	}
}
