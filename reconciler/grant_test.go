package reconciler_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// granted makes a reconciler of grants; staging's cluster is at address.
func (w *world) granted(address string, production reconciler.Grant, edits ...func(*reconciler.Config)) *reconciler.Reconciler {
	w.t.Helper()
	production.Cluster = w.cluster
	far, err := cluster.New(w.t.Context(), cluster.Config{REST: &rest.Config{Host: address}, Owner: w.id})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.reconciler(append(edits, func(c *reconciler.Config) {
		c.Cluster = nil
		c.Grants = map[string]reconciler.Grant{"production": production, "staging": {Cluster: far}}
	})...)
}

// silent is an address where nobody answers and nobody refuses.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

// TestUnreachableCluster delays no other.
func TestUnreachableCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.granted(silent(t), reconciler.Grant{Namespaces: []string{w.namespace("production")}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	w.until(production, "v1", v1alpha1.Healthy)
	if why := r.Unwell()[staging]; !strings.Contains(why, "not reachable") {
		t.Errorf("staging: %q", why)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestGrants refuses what an environment was not granted, whatever the repository says.
func TestGrants(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		grant reconciler.Grant
		edit  func(w *world)
		want  string
	}{
		"namespace": {reconciler.Grant{Namespaces: []string{"elsewhere"}}, func(*world) {}, `namespace "`},
		"source": {reconciler.Grant{Sources: []v1alpha1.SourceGrant{{Prefix: "s3://models/iris"}}}, func(w *world) {
			w.edit("models/iris/versions/v1.yaml", "source: models/iris/files/v1/model.safetensors", "source: https://example.com/model.safetensors")
		}, `source "https://example.com/model.safetensors" is not granted`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.edit(w)
			w.git("commit", "-q", "--allow-empty", "-am", "more than was granted")
			r := w.granted(silent(t), c.grant)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- r.Run(ctx) }()
			w.eventually("refused", func() bool { return strings.Contains(r.Unwell()[production], c.want) })
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris"); mr != nil || err != nil {
				t.Errorf("something was claimed: %v %v", mr, err)
			}
		})
	}
}

// TestOnly: a controller of some environments leaves the others to another one.
func TestOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	only := func(env string) func(*reconciler.Config) {
		return func(c *reconciler.Config) { c.Only = []string{env} }
	}
	if err := w.reconciler(only("production")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.release("production")
	if mr, err := w.cluster.Release(t.Context(), w.namespace("staging"), "staging", "iris"); mr != nil || err != nil {
		t.Fatalf("staging was touched: %v %v", mr, err)
	}
	if err := w.reconciler(only("staging")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.release("staging")
	w.release("production")

	// What another controller has to apply and to delete is left to it.
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2 to production")
	if err := w.reconciler(only("staging")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.status("production"); got.Applied.Version != "v1" {
		t.Errorf("production was touched: %+v", got.Applied)
	}
	w.remove("releases/iris/production.yaml")
	w.commit("production serves iris no more")
	if err := w.reconciler(only("staging")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.release("production")
	if err := w.reconciler(only("production")).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris"); mr != nil || err != nil {
		t.Errorf("production is still there: %v %v", mr, err)
	}
	w.release("staging")
}

// TestCutOffClaim applies again when a controller ended between its claim and the outcome, whatever is recorded.
func TestCutOffClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	mr := w.release("production")
	other := *mr.DeepCopy()
	if _, err := w.cluster.Claim(t.Context(), cluster.Target{
		Namespace: mr.Namespace, Environment: "production", Release: "iris", Commit: strings.Repeat("c", 40), Observed: &other,
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.kubectl().AppsV1().Deployments(mr.Namespace).Delete(t.Context(), "iris", deleteNow); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.follow(func(c *reconciler.Config) { c.AcceptRewrite = true }) // the commit that was claimed is not in the repository
	w.until(production, "v1", v1alpha1.Healthy)
	if d := w.deployment("iris"); d.CreationTimestamp.Add(time.Second).Before(began.Truncate(time.Second)) {
		t.Errorf("the deployment is of %s", d.CreationTimestamp)
	}
	if after := w.release("production"); after.Pending() || after.Status.Outcomes[0].Outcome != v1alpha1.Superseded {
		t.Errorf("after the restart: %+v", after)
	}
}

func restConfig(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
