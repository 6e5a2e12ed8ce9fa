package reconciler_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// written is what a log holds.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *written) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *written) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// controlled runs a controller of the namespace until the test ends; what it logs can be read.
func (w *world) controlled(namespace string, edits ...func(*reconciler.ControllerConfig)) *written {
	w.t.Helper()
	own, err := cluster.New(w.t.Context(), cluster.Config{REST: restConfig(w.t), Owner: "davit", Namespaces: []string{namespace}})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	log := &written{}
	cfg := reconciler.ControllerConfig{
		Cluster: own, Namespace: namespace, Mirrors: w.t.TempDir(), Images: images, Log: slog.New(slog.NewTextHandler(log, nil)),
		Report: func(p reconciler.Report) { w.reports <- p },
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- reconciler.Control(ctx, cfg) }()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
	return log
}

// register creates a ModelRegistry "models" in a new namespace.
func (w *world) register(namespace string, spec v1alpha1.ModelRegistrySpec) dynamic.ResourceInterface {
	w.t.Helper()
	w.namespaces(namespace)
	spec.URL = w.dir
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.ModelRegistry{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.RegistryKind},
		ObjectMeta: metav1.ObjectMeta{Name: "models"}, Spec: spec,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	resource := dyn.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace(namespace)
	if _, err := resource.Create(w.t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return resource
}

func (w *world) namespaces(names ...string) {
	w.t.Helper()
	for _, name := range names {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := w.kubectl().CoreV1().Namespaces().Create(w.t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// putSecret creates a Secret, or gives the one that is there other content.
func (w *world) putSecret(namespace string, secret *corev1.Secret) {
	w.t.Helper()
	secrets := w.kubectl().CoreV1().Secrets(namespace)
	if _, err := secrets.Get(w.t.Context(), secret.Name, get); err == nil {
		if _, err := secrets.Update(w.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	if _, err := secrets.Create(w.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func keys(t *testing.T, names ...string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys"}, Data: map[string][]byte{}}
	for _, name := range names {
		data, err := os.ReadFile("sops/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		secret.Data[name] = data
	}
	return secret
}

// sealed has production's iris hold a Secret that the real SOPS encrypted; it is for keys.agekey.
func (w *world) sealed(file string) {
	w.t.Helper()
	text, err := os.ReadFile("sops/testdata/" + file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("releases/iris/production/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [token.yaml]\n")
	w.write("releases/iris/production/token.yaml", string(text))
}

// token is what the decrypted Secret in production holds; empty without one.
func (w *world) token() string {
	secret, err := w.kubectl().CoreV1().Secrets(w.namespace("production")).Get(w.t.Context(), "iris-token", get)
	if err != nil {
		return ""
	}
	return string(secret.Data["token"])
}

// TestEncryptedSecret: a Secret that SOPS encrypted waits for its key and holds up nobody else; then it is applied, gone back
// with, corrected and pruned as any object, and its values are nowhere but in the Secret.
func TestEncryptedSecret(t *testing.T) {
	w := newWorld(t)
	namespace, place := w.id+"-davit", w.namespace("production")
	w.sealed("age.yaml")
	w.add("calm")
	w.commit("a secret")
	registries := w.register(namespace, v1alpha1.ModelRegistrySpec{Environments: []v1alpha1.EnvironmentGrant{
		{Name: "production", Namespaces: []string{place}, Decryption: "keys"},
	}})
	w.putSecret(namespace, keys(t, "other.agekey"))
	measured := metrics.New("v0")
	log := w.controlled(namespace, func(c *reconciler.ControllerConfig) { c.Metrics = measured })
	w.until("production/calm", "v1", v1alpha1.Healthy)
	w.eventually("waiting for the key", func() bool {
		mr, err := w.cluster.Release(t.Context(), place, "production", "iris")
		return err == nil && mr != nil && mr.Status.Phase == v1alpha1.Waiting && mr.Status.Reason == "DecryptionFailed" &&
			strings.Contains(mr.Status.Message, "no key of Secret "+namespace+"/keys decrypts it (it is encrypted for age1")
	})
	w.eventually("tried so often that the next try is 25.6 s away", func() bool {
		return scrape(t, measured.Handler())[`davit_release_retries_total{registry="models"}`] >= 8
	})
	w.putSecret(namespace, keys(t, "keys.agekey"))
	began := time.Now()
	w.eventually("decrypted", func() bool { return w.token() != "" })
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("decrypted %s after the key came", took)
	}
	w.until(production, "v1", v1alpha1.Healthy)
	if w.token() != "planted-4711-token" {
		t.Fatalf("token is %q", w.token())
	}

	// Rotated, and gone back.
	w.sealed("age-2.yaml")
	w.commit("another token")
	w.eventually("rotated", func() bool { return w.token() == "planted-4712-token" })
	w.git("revert", "--no-edit", "HEAD")
	w.eventually("gone back", func() bool { return w.token() == "planted-4711-token" })
	w.settled("production")

	// Changed by somebody: told without a key too, and corrected with the next change.
	patch := []byte(`{"stringData":{"token":"planted-4713"}}`)
	if _, err := w.kubectl().CoreV1().Secrets(place).Patch(t.Context(), "iris-token", "application/merge-patch+json", patch, metav1.PatchOptions{FieldManager: "grace"}); err != nil {
		t.Fatal(err)
	}
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.until(production, "v2", v1alpha1.Healthy)
	if w.token() != "planted-4711-token" {
		t.Errorf("not corrected: %q", w.token())
	}

	// A value that somebody changed in Git is the revision's fault.
	good := w.text("releases/iris/production/token.yaml")
	w.write("releases/iris/production/token.yaml", strings.Replace(good, "token: ENC[AES256_GCM,data:", "token: ENC[AES256_GCM,data:AAAA", 1))
	w.commit("a broken value")
	held := w.drain("production", "held", func(s v1alpha1.ModelReleaseStatus) bool { return s.Held != nil })
	if !strings.Contains(held.Held.Reason, "stringData.token was changed after it was encrypted") {
		t.Errorf("held: %s", held.Held.Reason)
	}
	w.planted(log, registries, measured)

	w.git("revert", "--no-edit", "HEAD")
	w.git("rm", "-rq", "releases/iris/production")
	w.commit("no secret")
	w.eventually("pruned", func() bool { return w.token() == "" })
}

// planted looks for the values of the tests' Secrets wherever davit writes.
func (w *world) planted(log *written, registries dynamic.ResourceInterface, measured *metrics.Metrics) {
	w.t.Helper()
	everything := map[string]string{"log": log.String(), "git": w.git("log", "--all", "-p", "--format=%B%N", "--notes=davit")}
	got := httptest.NewRecorder()
	measured.Handler().ServeHTTP(got, httptest.NewRequest("GET", "/metrics", nil))
	everything["metrics"] = got.Body.String()
	add := func(name string, v any, err error) {
		w.t.Helper()
		text, marshalErr := json.Marshal(v)
		if err != nil || marshalErr != nil {
			w.t.Fatal(name, err, marshalErr)
		}
		everything[name] = string(text)
	}
	ctx := w.t.Context()
	list, err := registries.List(ctx, metav1.ListOptions{})
	add("ModelRegistry", list, err)
	for _, namespace := range []string{w.namespace("production"), w.id + "-davit"} {
		events, err := w.kubectl().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
		add("events of "+namespace, events, err)
		maps, err := w.kubectl().CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
		add("ConfigMaps of "+namespace, maps, err)
	}
	deployments, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).List(ctx, metav1.ListOptions{})
	add("Deployments", deployments, err)
	release := w.release("production")
	add("ModelRelease", release, nil)
	if !strings.Contains(everything["ModelRelease"], "iris-token") || !strings.Contains(everything["events of "+w.namespace("production")], "v2") {
		w.t.Error("nothing was looked through")
	}
	for place, text := range everything {
		for _, secret := range []string{"planted-471", base64.StdEncoding.EncodeToString([]byte("planted-47"))[:12], "AGE-SECRET-KEY"} {
			if strings.Contains(text, secret) {
				w.t.Errorf("%s holds %s", place, secret)
			}
		}
	}
}

// settled waits until a release is healthy at the tip's objects.
func (w *world) settled(env string) {
	w.t.Helper()
	w.eventually("settled", func() bool {
		st := w.status(env)
		return st.Phase == v1alpha1.Healthy && st.Healthy.ObjectsHash == st.Applied.ObjectsHash
	})
}
