package reconciler_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// requests lists what goes to the API server, watches and discovery left out.
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		path := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
		i := slices.Index(path, "namespaces")
		if i >= 0 && len(path) > i+2 && req.URL.Query().Get("watch") == "" {
			r.mu.Lock()
			r.list = append(r.list, req.Method+" "+strings.Join(path[i+2:], "/"))
			r.mu.Unlock()
		}
		return next.RoundTrip(req)
	})
}

// take is what was sent since the last take, Events left out: they come when they come.
func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.DeleteFunc(r.list, func(s string) bool { return strings.HasSuffix(s, " events") })
	r.list = nil
	slices.Sort(list)
	return list
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRequests counts what a first sync, a promotion, a commit that changes nothing and a restart send: one claim,
// each changed object and one status; nothing where nothing changed. It has the cluster to itself: every reconciler looks at
// the tries of other tests there.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	w.remove("releases/iris/staging.yaml")
	w.commit("production only")
	sent := &requests{}
	config := rest.CopyConfig(restConfig(t))
	config.Wrap(sent.wrap)
	counted, err := cluster.New(t.Context(), cluster.Config{REST: config, Owner: w.id})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *reconciler.Config) { c.Cluster = counted }
	expect := func(what string, want ...string) {
		t.Helper()
		if got := sent.take(); !slices.Equal(got, want) {
			t.Errorf("%s sent\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	stop := w.follow(with)
	w.until(production, "v1", v1alpha1.Healthy)
	expect("the first sync", "PATCH deployments/iris", "PATCH services/iris", "POST modelreleases", "PUT modelreleases/production.iris/status")

	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.until(production, "v2", v1alpha1.Healthy)
	expect("a promotion", "PATCH deployments/iris", "PUT modelreleases/production.iris", "PUT modelreleases/production.iris/status")

	w.write("models/iris/README.md", "The card says more now.\n")
	w.edit("environments/staging/environment.yaml", "bake: 100ms", "bake: 200ms")
	w.commit("nothing that concerns production")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.commit("v1")
	w.until(production, "v1", v1alpha1.Healthy)
	expect("a commit of no concern, and a promotion", "PATCH deployments/iris", "PUT modelreleases/production.iris", "PUT modelreleases/production.iris/status")
	stop()

	if err := w.reconciler(with).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("a restart in sync")
}
