package cluster_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// TestWhoAsks has each request of a release's life looked at on its way to the API server: objects, logs and smoke tests
// are the service account's, watches, ModelReleases and discovery davit's own.
func TestWhoAsks(t *testing.T) {
	_, ns := open(t)
	account := "system:serviceaccount:" + ns + ":writer"
	admin := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "writer"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "writer", Namespace: ns}}}
	if _, err := client.RbacV1().RoleBindings(ns).Create(t.Context(), admin, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "iris"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "a"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := map[string][]string{} // users by what was asked
	c := reopen(t, ns, func(cfg *cluster.Config) {
		cfg.Impersonate = rest.ImpersonationConfig{UserName: account}
		cfg.REST = restCopy()
		cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return before(func(r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				what := sort(r)
				if user := r.Header.Get("Impersonate-User"); !slices.Contains(asked[what], user) {
					asked[what] = append(asked[what], user)
				}
			}, next)
		})
	})
	watch(t, c)
	eventually(t, func() error { // RBAC is cached for a moment
		mr := claim(t, c, ns, "c1", nil)
		_, err := c.Apply(t.Context(), mr, objects(t, service), cluster.ApplyOptions{})
		return err
	})
	deploy(t, c, ns, "c1", all)
	mr, _ := deploy(t, c, ns, "c2", service)
	if _, err := c.Plan(t.Context(), mr, objects(t, service), cluster.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Drift(t.Context(), mr, objects(t, service)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Prune(t.Context(), mr, nil); err != nil {
		t.Fatal(err)
	}
	c.LastLog(t.Context(), ns, "iris", "server", false)
	_ = c.SmokeTest(t.Context(), cluster.Smoke{Namespace: ns, Service: "iris", Port: 80, Path: "/"})

	mu.Lock()
	defer mu.Unlock()
	for what, user := range map[string]string{
		"object GET": account, "object PATCH": account, "object DELETE": account, "log": account, "smoke test": account,
		"watch": "", "release": "", "discovery": "",
	} {
		if got := asked[what]; len(got) != 1 || got[0] != user {
			t.Errorf("%s was asked by %q, want %q", what, got, user)
		}
		delete(asked, what)
	}
	if len(asked) > 0 {
		t.Errorf("and who asked this: %v", asked)
	}
}

// sort names what a request is for.
func sort(r *http.Request) string {
	query, dir := r.URL.Query(), r.URL.Path
	switch {
	case query.Get("watch") != "" || query.Get("labelSelector") != "":
		return "watch"
	case strings.Contains(dir, "/modelreleases"):
		return "release"
	case strings.HasSuffix(dir, "/log"):
		return "log"
	case strings.Contains(dir, "/proxy"):
		return "smoke test"
	case strings.Contains(dir, "/namespaces/"):
		return "object " + r.Method
	}
	return "discovery"
}
