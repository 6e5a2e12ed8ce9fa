package reconciler_test

import (
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// smoke has the model answer whom the API server lets through to it. Nobody is behind a simulated pod's address, which is
// no place to connect to either, so the API server is asked for a Service that is not there: it refuses who may not ask
// before it looks for that.
func smoke(cfg *rest.Config, asked *atomic.Int32) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			before, after, ok := strings.Cut(r.URL.Path, "/services/")
			service, at, _ := strings.Cut(after, "/proxy/")
			if !ok || at != "v2/health/ready" {
				return next.RoundTrip(r)
			}
			r = r.Clone(r.Context())
			r.URL.Path = before + "/services/no-" + service + "/proxy/" + at
			answer, err := next.RoundTrip(r)
			if err != nil || answer.StatusCode != http.StatusNotFound {
				return answer, err
			}
			answer.Body.Close()
			asked.Add(1)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("ready")), Request: r}, nil
		})
	})
}

// refusals are the requests that the API server refused to a controller for want of a right.
type refusals struct {
	mu  sync.Mutex
	all []string
}

// of has a client's refusals recorded. That tries are in namespaces out of its sight is meant, and whether it may act as
// somebody it finds out by asking.
func (f *refusals) of(cfg *rest.Config) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			if err == nil && answer.StatusCode == http.StatusForbidden && r.URL.Path != "/api/v1/namespaces" && path.Base(r.URL.Path) != "selfsubjectreviews" {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.all = append(f.all, r.Method+" "+r.URL.Path+" as "+r.Header.Get("Impersonate-User"))
			}
			return answer, err
		})
	})
}

func (f *refusals) none(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) > 0 {
		t.Errorf("%d requests were refused: %q", len(f.all), f.all[:min(len(f.all), 10)])
	}
}

// TestInstalledController has the controller, with the rights of each installation and no others, take releases and a
// training all the way.
func TestInstalledController(t *testing.T) {
	for _, overlay := range []install.Overlay{install.SingleTenant, install.MultiTenant} {
		t.Run(string(overlay), func(t *testing.T) {
			tw := newTrainingWorld(t)
			w, namespace := tw.world, tw.id+"-davit"
			w.install(install.Config{Overlay: overlay, Namespace: namespace}, w.namespace("staging"), w.namespace("production"))
			w.pullSecret(namespace)
			w.registerIn(namespace, overlay.Impersonates(), "pull")
			w.edit("releases/iris/serving.yaml", "spec:\n", "spec:\n  smokeTest: {path: /v2/health/ready}\n")
			w.add("extra")
			w.commit("a smoke test, and another release")
			var asked atomic.Int32
			cfg := w.account(namespace)
			smoke(cfg, &asked)
			var refused refusals
			refused.of(cfg)
			stop := w.controllerAs(cfg, namespace)

			w.all("iris", "extra")
			if asked.Load() == 0 {
				t.Error("healthy without a smoke test")
			}
			w.wholeWay(tw)
			if c := w.condition(namespace, v1alpha1.ConditionConnected); c == nil || c.Status != metav1.ConditionTrue {
				t.Errorf("connected: %+v", c)
			}
			stop()
			refused.none(t)
			w.takenOut(namespace, overlay == install.SingleTenant)
		})
	}
}

// wholeWay is what comes after a first release: drift, a crash and its rollback, a promotion, a deletion, a training.
func (w *world) wholeWay(tw *trainingWorld) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	w.scale("iris", 3)
	w.eventually("scaled back", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.until(production, "v3", v1alpha1.Failed)
	w.until(production, "v1", v1alpha1.RolledBack)
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	if !w.hasSecret("pull") {
		t.Error("no pull secret beside the pods that name it")
	}
	if !w.event("Healthy", "") {
		t.Error("no Event of the release")
	}
	w.remove("releases/extra")
	w.commit("no more extra")
	w.eventually("pruned", func() bool {
		_, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(ctx, "extra", get)
		return apierrors.IsNotFound(err)
	})
	w.eventually("told of in Git, and forgotten", func() bool {
		mr, err := w.cluster.Release(ctx, w.namespace("production"), "production", "extra")
		return err == nil && mr == nil
	})
	tw.spec("1")
	w.commit("a training")
	w.eventually("training", func() bool {
		jobs, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).List(ctx, metav1.ListOptions{LabelSelector: cluster.LabelRun})
		return err == nil && len(jobs.Items) == 1 && len(jobs.Items[0].Labels) > 0
	})
}

// pullSecret creates one where ModelRegistries are.
func (w *world) pullSecret(namespace string) {
	w.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths": {}}`},
	}
	if _, err := w.kubectl().CoreV1().Secrets(namespace).Create(w.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// hasSecret looks in production.
func (w *world) hasSecret(name string) bool {
	w.t.Helper()
	_, err := w.kubectl().CoreV1().Secrets(w.namespace("production")).Get(w.t.Context(), name, get)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return err == nil
}

// takenOut ends an installation: what it deployed is left, or goes with what its ModelReleases list; namespaces stay.
func (w *world) takenOut(namespace string, deletes bool) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	held, err := w.cluster.Holdings(ctx, namespace)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(held.Namespaces)
	if len(held.Releases) != 2 || len(held.Registries) != 1 || len(held.Runs) != 1 || !slices.Equal(held.Namespaces, []string{w.namespace("production"), w.namespace("staging")}) {
		t.Errorf("holds %d releases, %d registries, %d runs, in %v", len(held.Releases), len(held.Registries), len(held.Runs), held.Namespaces)
	}
	var told []string
	tell := func(ns string, c cluster.Change) { told = append(told, ns+" "+c.Ref.Kind+" "+c.Ref.Name) }
	if deletes {
		if err := w.cluster.DeleteHeld(ctx, held, true, tell); err != nil {
			t.Fatal(err)
		}
		w.deployment("iris") // a dry run
		if !w.hasSecret("pull") {
			t.Error("a dry run deleted the pull secret")
		}
		if err := w.cluster.DeleteHeld(ctx, held, false, tell); err != nil {
			t.Fatal(err)
		}
		w.eventually("deleted", func() bool {
			_, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(ctx, "iris", get)
			return apierrors.IsNotFound(err)
		})
	}
	if err := w.cluster.Forget(ctx, held, false, tell); err != nil {
		t.Fatal(err)
	}
	if !deletes {
		w.deployment("iris")
	}
	if w.hasSecret("pull") == deletes { // pods that stay pull with it
		t.Errorf("the copied pull secret is there: %v", !deletes)
	}
	for _, what := range []string{w.namespace("production") + " ModelRelease production.iris", namespace + " ModelRegistry models"} {
		if !slices.Contains(told, what) {
			t.Errorf("%q was not told: %q", what, told)
		}
	}
	if _, err := w.kubectl().CoreV1().Namespaces().Get(ctx, w.namespace("production"), get); err != nil {
		t.Errorf("the namespace: %v", err)
	}
	if held, err = w.cluster.Holdings(ctx, namespace); err != nil || len(held.Releases) > 0 || len(held.Registries) > 0 {
		t.Errorf("still there: %+v %v", held, err)
	}
}
