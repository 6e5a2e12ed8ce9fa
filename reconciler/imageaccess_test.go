package reconciler_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// locked is the OCI registry behind a password of ada's. It quotes what it was sent.
type locked struct {
	*httptest.Server
	password atomic.Value // string
	pushed   atomic.Int32 // manifests
}

func lock(t *testing.T, password string) *locked {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: dev.Registry})
	l := &locked{}
	l.password.Store(password)
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if user, got, _ := req.BasicAuth(); user != "ada" || got != l.password.Load() {
			rw.Header().Set("WWW-Authenticate", `Basic realm="models"`)
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(rw, `{"errors":[{"code":"UNAUTHORIZED","message":"you sent %s"}]}`, got)
			return
		}
		if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/manifests/") {
			l.pushed.Add(1)
		}
		proxy.ServeHTTP(rw, req)
	}))
	l.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	l.Start()
	t.Cleanup(l.Close)
	return l
}

func (l *locked) host() string { return strings.TrimPrefix(l.URL, "http://") }

// docker writes a Secret with a password for it.
func (w *world) docker(namespace string, l *locked, password string) {
	w.t.Helper()
	w.secret(namespace, "oci", map[string]string{
		".dockerconfigjson": fmt.Sprintf(`{"auths": {%q: {"username": "ada", "password": %q}}}`, l.host(), password),
	})
}

// TestImagesFollowTheSecret: a model image is pushed by the ModelRegistry's Secret. A wrong password keeps a promotion
// waiting, with nothing rolled back, and the right one lets it go on, without a restart. No password is in the log or in
// any of davit's objects.
func TestImagesFollowTheSecret(t *testing.T) {
	w := newWorld(t)
	l := lock(t, "pl4nted-one")
	w.edit("davit.yaml", dev.Registry, l.host()+"/"+w.id)
	w.commit("images behind a password")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.docker(namespace, l, "pl4nted-one")
	w.patchRaw(registries, `{"spec":{"images":{"secret":"oci"}}}`)
	log := w.controlled(namespace)
	w.until(production, "v1", v1alpha1.Healthy)
	if l.pushed.Load() == 0 {
		t.Error("nothing was pushed by the password")
	}

	l.password.Store("pl4nted-two")
	w.docker(namespace, l, "pl4nted-wrong")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	waits := w.any(v1alpha1.Waiting, v1alpha1.Failed, v1alpha1.RolledBack)
	if waits.Phase != v1alpha1.Waiting || waits.Reason != "ImageRegistry" || !strings.Contains(waits.Message, "401") && !strings.Contains(waits.Message, "UNAUTHORIZED") {
		t.Errorf("%s by %s: %s", waits.Phase, waits.Reason, waits.Message)
	}
	t.Logf("it waits: %s", waits.Message)
	status := w.drain("production", "waiting", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Waiting })
	if status.Applied.Version != "v1" || status.Held != nil || strings.Contains(status.Message, "pl4nted") {
		t.Errorf("what serves meanwhile: %+v", status)
	}

	w.docker(namespace, l, "pl4nted-two")
	if after := w.any(v1alpha1.Healthy, v1alpha1.Failed, v1alpha1.RolledBack); after.Phase != v1alpha1.Healthy || after.Version != "v2" {
		t.Errorf("by the right password: %+v", after)
	}
	if text := log.String(); strings.Contains(text, "begins anew") || strings.Contains(text, "pl4nted") {
		t.Errorf("the log:\n%s", text)
	}
	w.noPassword(registries)
}
