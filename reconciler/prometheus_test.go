package reconciler_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/monitor/promtest"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestGrantedPrometheus: a controller asks the server that the ModelRegistry names, by the token of its Secret.
func TestGrantedPrometheus(t *testing.T) {
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
		if r.Header.Get("Authorization") != "Bearer t2" {
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
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus"}, StringData: map[string]string{"bearerToken": "t1"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	grant := []byte(`[{"op": "add", "path": "/spec/environments/0/prometheus", "value": {"url": "` + front.URL + `", "secret": "prometheus"}}]`)
	if _, err := registries.Patch(t.Context(), "models", types.JSONPatchType, grant, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	stop := w.control("first", namespace, make(chan string, 1))
	defer stop()
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("refused", func() bool { return refused.Load() > 0 })
	secret.StringData = map[string]string{"bearerToken": "t2"}
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.drain("production", "with numbers", func(s v1alpha1.ModelReleaseStatus) bool { return s.Serving != nil && s.Serving.TTFT != "" })
	if asked.Load() == 0 {
		t.Error("the server was not asked through the one that is named")
	}
}
