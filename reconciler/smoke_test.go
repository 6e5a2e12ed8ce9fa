package reconciler_test

import (
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// answering has iris tested, and stands in for its pods, which are simulated and answer nothing: what the API server's
// proxy is asked of a Service ("iris:80") gets the status that answer gives.
func (w *world) answering(answer func(service string) int) {
	w.t.Helper()
	w.edit("releases/iris/serving.yaml", "spec:\n", "spec:\n  smokeTest: {path: /v2/health/ready}\n")
	w.commit("a smoke test")
	config := restConfig(w.t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/proxy/v2/health/ready") {
				return next.RoundTrip(r)
			}
			return &http.Response{StatusCode: answer(path.Base(strings.TrimSuffix(r.URL.Path, "/proxy/v2/health/ready"))), Body: io.NopCloser(strings.NewReader("an answer")), Request: r}, nil
		})
	})
	var err error
	if w.cluster, err = cluster.New(w.t.Context(), cluster.Config{REST: config, Owner: w.id}); err != nil {
		w.t.Fatal(err)
	}
}

// TestSmokeTestFails: a version that runs and answers wrongly fails, and the last healthy one comes back.
func TestSmokeTestFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int32
	w.answering(func(string) int {
		asked.Add(1)
		if strings.HasSuffix(w.deployment("iris").Labels["davit.dev/version"], "v2") {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	if asked.Load() == 0 {
		t.Fatal("v1 became healthy without its smoke test")
	}
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	if r := w.any(v1alpha1.Failed); r.Version != "v2" || r.Reason != "SmokeTestFailed" || !strings.Contains(r.Message, "HTTP status 500") {
		t.Errorf("got %+v", r)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
}

// TestSmokeTestOfAHealthyRelease: a release that was healthy, was not ready for a while and now answers wrongly is not its
// revision's fault. It is tested even if it is ready again before anybody looks.
func TestSmokeTestOfAHealthyRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var broken atomic.Bool
	w.answering(func(string) int {
		if broken.Load() {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	w.follow(func(c *reconciler.Config) {
		report, again := c.Report, sync.OnceFunc(w.newPods)
		c.Report = func(p reconciler.Report) {
			if broken.Load() && p.Phase == v1alpha1.Waiting {
				again()
			}
			report(p)
		}
	})
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	broken.Store(true) // before it may be ready again
	w.ail(w.deployment("iris").Spec.Template.Spec.Containers[0].Image, 2, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	got := w.drain("production", "tested again", func(s v1alpha1.ModelReleaseStatus) bool { return strings.HasPrefix(s.Reason, "SmokeTest") })
	if got.Phase != v1alpha1.Waiting || got.Held != nil || got.Applied.Version != "v2" {
		t.Errorf("a healthy release that answers wrongly: %+v", got)
	}
	broken.Store(false)
	w.until(production, "v2", v1alpha1.Healthy)
}

// newPods deletes the release's pods in production, and waits until it is ready by new ones. Davit waits meanwhile: it calls
// this itself, where no test may be ended.
func (w *world) newPods() {
	pods := w.kubectl().CoreV1().Pods(w.namespace("production"))
	if err := pods.DeleteCollection(w.t.Context(), deleteNow, metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"}); err != nil {
		w.t.Error(err)
	}
	for range 1800 {
		d, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(w.t.Context(), "iris", get)
		if err == nil && d.Status.AvailableReplicas == 1 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Error("not ready again")
}
