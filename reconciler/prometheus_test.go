package reconciler_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/monitor/promtest"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestGrantedPrometheus: a controller asks the server that the ModelRegistry names, by the token of its Secret.
func TestGrantedPrometheus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, server, _ := w.serving(map[string]promtest.Behaviour{"v1": fast})
	w.commit("metrics named")
	behind, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var refused, asked atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer pl4nted-prometheus-2" {
			refused.Add(1)
			http.Error(rw, "who are you?", http.StatusUnauthorized)
			return
		}
		asked.Add(1)
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)

	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	secrets := w.kubectl().CoreV1().Secrets(namespace)
	secret, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus"}, StringData: map[string]string{"bearerToken": "pl4nted-prometheus-1"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.patchJSON(registries, `[{"op": "add", "path": "/spec/environments/0/prometheus", "value": {"url": "`+front.URL+`", "secret": "prometheus"}}]`)
	stop := w.control("first", namespace, make(chan string, 1))
	defer stop()
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("refused", func() bool { return refused.Load() > 0 })
	w.monitored(registries, metav1.ConditionFalse, `environment production: asking Prometheus at `+front.URL)
	secret.StringData = map[string]string{"bearerToken": "pl4nted-prometheus-2"}
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.drain("production", "with numbers", func(s v1alpha1.ModelReleaseStatus) bool { return s.Serving != nil && s.Serving.TTFT != "" })
	if asked.Load() == 0 {
		t.Error("the server was not asked through the one that is named")
	}
	w.monitored(registries, metav1.ConditionTrue, "")
	w.patchJSON(registries, `[{"op": "remove", "path": "/spec/environments/0/prometheus"}]`)
	w.eventually("no Prometheus, no condition", func() bool {
		return meta.FindStatusCondition(w.modelRegistry(registries).Status.Conditions, v1alpha1.ConditionMonitored) == nil
	})
}

// TestOneRuntimeUnanswered: what a server does not answer of one runtime keeps no other's numbers back, and the condition
// says of which.
func TestOneRuntimeUnanswered(t *testing.T) {
	w := newWorld(t)
	_, server, _ := w.serving(map[string]promtest.Behaviour{"v1": fast})
	if err := os.CopyFS(filepath.Join(w.dir, "runtimes/iris-server/0.2.0"), os.DirFS(filepath.Join(w.dir, "runtimes/iris-server/0.1.0"))); err != nil {
		t.Fatal(err)
	}
	w.edit("runtimes/iris-server/0.2.0/runtime.yaml", "vllm:request_success_total", "other_requests_total")
	w.add("aster")
	w.edit("releases/aster/serving.yaml", "runtime: iris-server", "runtime: iris-server@0.2.0")
	w.commit("metrics named, and another runtime")
	behind, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var healed atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if strings.Contains(string(body), "other_requests_total") && !healed.Load() {
			rw.WriteHeader(http.StatusUnprocessableEntity) // as Prometheus answers a query that loads too many samples
			fmt.Fprint(rw, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(front.Close)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.patchJSON(registries, `[{"op": "add", "path": "/spec/environments/0/prometheus", "value": {"url": "`+front.URL+`"}}]`)
	defer w.control("first", namespace, make(chan string, 1))()
	w.all("iris", "aster")
	w.drain("production", "with numbers", func(s v1alpha1.ModelReleaseStatus) bool { return s.Serving != nil && s.Serving.TTFT != "" })
	w.monitored(registries, metav1.ConditionFalse, `environment production: runtime iris-server@0.2.0: asking Prometheus at `+front.URL)
	if s := w.of("aster").Serving; s != nil {
		t.Errorf("aster has numbers that nobody told: %+v", s)
	}
	healed.Store(true)
	w.monitored(registries, metav1.ConditionTrue, "")
	w.eventually("aster with what is known", func() bool { return w.of("aster").Serving != nil })
}

// monitored waits for the ModelRegistry's condition of that.
func (w *world) monitored(registries dynamic.ResourceInterface, status metav1.ConditionStatus, message string) {
	w.t.Helper()
	w.eventually("Monitored "+string(status), func() bool {
		c := meta.FindStatusCondition(w.modelRegistry(registries).Status.Conditions, v1alpha1.ConditionMonitored)
		return c != nil && c.Status == status && strings.HasPrefix(c.Message, message)
	})
}

// patchJSON changes a ModelRegistry by a JSON patch.
func (w *world) patchJSON(registries dynamic.ResourceInterface, patch string) {
	w.t.Helper()
	if _, err := registries.Patch(w.t.Context(), "models", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}
