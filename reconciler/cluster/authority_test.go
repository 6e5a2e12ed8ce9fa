package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

func TestKindsThatAreNotAllowed(t *testing.T) {
	c, ns := open(t, func(cfg *cluster.Config) {
		cfg.Kinds = []schema.GroupKind{{Group: "apps", Kind: "Deployment"}, {Kind: "Service"}}
	})
	mr := claim(t, c, ns, "c1", nil)
	_, err := c.Apply(t.Context(), mr, objects(t, all), cluster.ApplyOptions{})
	var refused *cluster.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "kind ConfigMap is not allowed here; the kinds this environment allows are Deployment.apps,Service in its ModelRegistry") {
		t.Errorf("got %v", err)
	}
}

func TestObjectsAreWrittenAsTheServiceAccount(t *testing.T) {
	_, ns := open(t)
	account := "system:serviceaccount:" + ns + ":writer"
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "create", "patch"}}}
	if _, err := client.RbacV1().Roles(ns).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "writer"}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "writer"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "writer"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "writer", Namespace: ns}}}
	if _, err := client.RbacV1().RoleBindings(ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := reopen(t, ns, func(cfg *cluster.Config) { cfg.Impersonate = rest.ImpersonationConfig{UserName: account} })
	watch(t, c) // as davit itself: the account may not list anything
	mr := claim(t, c, ns, "c1", nil)
	eventually(t, func() error { // RBAC is cached for a moment
		_, err := c.Apply(t.Context(), mr, objects(t, deployment), cluster.ApplyOptions{})
		return err
	})
	_, err := c.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	var refused *cluster.RefusedError
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), account) {
		t.Errorf("got %v", err)
	}
}

// TestTooManyRequests has a proxy in front of the API server that is overloaded at first.
func TestTooManyRequests(t *testing.T) {
	target, err := url.Parse(restConfig.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(restCopy())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	var refusals atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && refusals.Add(1) <= 3 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c, ns := open(t, func(cfg *cluster.Config) { cfg.REST = &rest.Config{Host: server.URL} })
	mr := claim(t, c, ns, "c1", nil)
	start := time.Now()
	set, err := c.Apply(t.Context(), mr, objects(t, all), cluster.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "applied", actions(set), "created ConfigMap/iris, created Deployment.apps/iris, created Service/iris")
	if took := time.Since(start); refusals.Load() < 4 || took < time.Second {
		t.Errorf("Retry-After of a second was not waited for: %s", took)
	}
}

// TestOverloadedServerGetsHalfTheWriters refuses one write, and counts how many of those begun later are under way at once.
func TestOverloadedServerGetsHalfTheWriters(t *testing.T) {
	var mu sync.Mutex
	refused, inside, most := time.Time{}, 0, 0
	begin := func() (refuse, later bool) {
		mu.Lock()
		defer mu.Unlock()
		if refused.IsZero() {
			refused = time.Now()
			return true, false
		}
		inside++
		most = max(most, inside)
		return false, true
	}
	c, ns := open(t, func(cfg *cluster.Config) {
		cfg.Workers = 8
		cfg.REST = restCopy()
		cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPatch {
					return next.RoundTrip(r)
				}
				refuse, later := begin()
				if refuse {
					return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Body: http.NoBody, Request: r}, nil
				}
				if later {
					defer func() { mu.Lock(); inside--; mu.Unlock() }()
				}
				time.Sleep(20 * time.Millisecond) // how long a write takes here: long enough for others to be under way
				return next.RoundTrip(r)
			})
		})
	})
	apply := func(text string) {
		t.Helper()
		mr := claim(t, c, ns, "c1", nil)
		if _, err := c.Apply(t.Context(), mr, objects(t, text), cluster.ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	apply(config) // refused, and let in a second later: the gate is at five by then, and halved no more
	var maps []string
	for i := range 20 {
		maps = append(maps, configMap(fmt.Sprintf("many-%d", i)))
	}
	apply(strings.Join(maps, "\n---\n"))
	passed := time.Since(refused)
	if limit := 5 + int(passed/time.Second); most < 3 || most > min(limit, 8) {
		t.Errorf("%d of 8 writers at once, %s after the API server was overloaded", most, passed)
	}
}

func TestReplicasGoToTheAutoscalerAndBack(t *testing.T) {
	c, ns := open(t)
	given := strings.Replace(deployment, "  replicas: 2\n", "", 1)
	deploy(t, c, ns, "c1", deployment)
	deploy(t, c, ns, "c2", given)
	deployments := client.AppsV1().Deployments(ns)
	scale := func(n int32) {
		t.Helper()
		s := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "iris", Namespace: ns}, Spec: autoscalingv1.ScaleSpec{Replicas: n}}
		if _, err := deployments.UpdateScale(t.Context(), "iris", s, metav1.UpdateOptions{FieldManager: "kube-controller-manager"}); err != nil {
			t.Fatal(err)
		}
	}
	state := func() string {
		t.Helper()
		d, err := deployments.Get(t.Context(), "iris", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		owners := ""
		for _, e := range d.ManagedFields {
			if strings.Contains(string(e.FieldsV1.GetRawBytes()), `"f:replicas":{}`) && e.Subresource != "status" {
				owners += " " + e.Manager
			}
			if e.Manager == "davit-handover" && *d.Spec.Replicas != 2 {
				owners += " (handover is left)"
			}
		}
		return fmt.Sprint(*d.Spec.Replicas, owners)
	}
	want(t, "given up", state(), "2 davit-handover")
	scale(5)
	_, set := deploy(t, c, ns, "c3", given)
	want(t, "while the autoscaler has it", actions(set), "unchanged Deployment.apps/iris")
	want(t, "scaled", state(), "5 kube-controller-manager")

	deploy(t, c, ns, "c4", strings.Replace(deployment, "replicas: 2", "replicas: 5", 1))
	if got := state(); !strings.Contains(got, "5 ") || !strings.Contains(got, "davit") || strings.Contains(got, "handover") {
		t.Errorf("taken back at the number set: %s", got)
	}
	deploy(t, c, ns, "c5", given) // handed over, and never scaled
	deploy(t, c, ns, "c6", strings.Replace(deployment, "replicas: 2", "replicas: 3", 1))
	want(t, "the rendered number wins", state(), "3 davit")
	deploy(t, c, ns, "c7", given)
	deploy(t, c, ns, "c8", strings.Replace(deployment, "replicas: 2", "replicas: 3", 1))
	want(t, "the same number, and nobody else left", state(), "3 davit")
}
