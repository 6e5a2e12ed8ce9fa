package cluster_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// wire is the line to the API server: it notes requests and can hold back what watches say.
type wire struct {
	mu       sync.Mutex
	requests []string
	watched  []string      // the paths of watches, and of lists that are streamed as one
	held     chan struct{} // watches say nothing until it is closed; nil: they do
}

func (w *wire) on(cfg *cluster.Config) {
	cfg.REST = restCopy()
	cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tap{next, w} })
}

type tap struct {
	next http.RoundTripper
	wire *wire
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	watches := r.URL.Query().Get("watch") != ""
	t.wire.mu.Lock()
	if watches {
		t.wire.watched = append(t.wire.watched, r.URL.Path)
	} else {
		t.wire.requests = append(t.wire.requests, r.Method+" "+r.URL.Path)
	}
	t.wire.mu.Unlock()
	answer, err := t.next.RoundTrip(r)
	if err == nil && watches {
		answer.Body = &holding{answer.Body, t.wire}
	}
	return answer, err
}

func (t *tap) WrappedRoundTripper() http.RoundTripper { return t.next }

type holding struct {
	io.ReadCloser
	wire *wire
}

func (h *holding) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.wire.mu.Lock()
	held := h.wire.held
	h.wire.mu.Unlock()
	if held != nil {
		<-held
	}
	return n, err
}

// hold keeps back what watches say until release is called.
func (w *wire) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(chan struct{})
	w.held = held
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.held = nil
		w.mu.Unlock()
		close(held)
	})
}

// count is the requests f sends, but for those of watches.
func (w *wire) count(f func()) []string {
	w.mu.Lock()
	w.requests = nil
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

func apply(t *testing.T, c *cluster.Cluster, mr *v1alpha1.ModelRelease, text string, opts cluster.ApplyOptions) cluster.ChangeSet {
	t.Helper()
	set, err := c.Apply(t.Context(), mr, objects(t, text), opts)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// undrifted waits until the watches have shown everything and found nothing changed.
func undrifted(t *testing.T, w *cluster.Watcher, mr *v1alpha1.ModelRelease) {
	t.Helper()
	eventually(t, func() error {
		if drifted := w.Drifted(mr); len(drifted) > 0 {
			return fmt.Errorf("drifted: %v", drifted)
		}
		return nil
	})
}

func edit(t *testing.T, ns, kind, patch string) {
	t.Helper()
	opts := metav1.PatchOptions{FieldManager: "kubectl-edit"}
	var err error
	switch kind {
	case "ConfigMap":
		_, err = client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "iris", types.MergePatchType, []byte(patch), opts)
	case "Deployment":
		_, err = client.AppsV1().Deployments(ns).Patch(t.Context(), "iris", types.StrategicMergePatchType, []byte(patch), opts)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsSentForWhatIsKnownUnchanged(t *testing.T) {
	line := &wire{}
	c, ns := open(t, line.on)
	w, _ := watch(t, c)
	mr, _ := deploy(t, c, ns, "c1", all)
	eventually(t, func() error {
		requests := line.count(func() {
			set := apply(t, c, mr, all, cluster.ApplyOptions{})
			want(t, "again", actions(set), "unchanged ConfigMap/iris, unchanged Deployment.apps/iris, unchanged Service/iris")
		})
		if len(requests) > 0 {
			return fmt.Errorf("sent %v", requests)
		}
		return nil
	})
	edit(t, ns, "ConfigMap", `{"data":{"a":"9"}}`)
	eventually(t, func() error {
		if got := fmt.Sprint(w.Drifted(mr)); got != "[ConfigMap/iris]" {
			return errors.New("drifted: " + got)
		}
		return nil
	})
	requests := line.count(func() {
		set := apply(t, c, mr, all, cluster.ApplyOptions{})
		want(t, "corrected", actions(set), "configured ConfigMap/iris, unchanged Deployment.apps/iris, unchanged Service/iris")
		want(t, "taken back from", fmt.Sprint(set.Changes[0].From), "[kubectl-edit]")
		mr.Status.Inventory = set.Inventory
	})
	path := "PATCH /api/v1/namespaces/" + ns + "/configmaps/iris"
	want(t, "requests", fmt.Sprint(requests), fmt.Sprint([]string{path, path})) // asks whose the field is, and takes it
	undrifted(t, w, mr)

	// A first apply costs one request an object.
	requests = line.count(func() {
		set := apply(t, c, mr, configMap("another"), cluster.ApplyOptions{})
		want(t, "new", actions(set), "created ConfigMap/another")
	})
	want(t, "requests of a new object", fmt.Sprint(requests), "[PATCH /api/v1/namespaces/"+ns+"/configmaps/another]")
}

func TestALaggingWatchIsNotBelieved(t *testing.T) {
	line := &wire{}
	c, ns := open(t, line.on)
	w, _ := watch(t, c)
	first, _ := deploy(t, c, ns, "c1", config)
	eventually(t, func() error {
		if requests := line.count(func() { apply(t, c, first, config, cluster.ApplyOptions{}) }); len(requests) > 0 {
			return fmt.Errorf("sent %v", requests)
		}
		return nil
	})
	release := line.hold()
	defer release()
	second := first.DeepCopy()
	second.Status.Inventory = apply(t, c, first, strings.Replace(config, `"1"`, `"2", b: "3"`, 1), cluster.ApplyOptions{}).Inventory
	if drifted := w.Drifted(second); len(drifted) > 0 {
		t.Errorf("davit's own write is taken for drift: %v", drifted)
	}
	// The status of the second apply was lost: the inventory and the cache agree on what is no more.
	first.Status.Inventory = apply(t, c, first, config, cluster.ApplyOptions{}).Inventory
	cm, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "value", cm.Data["a"], "1")
	release()
	undrifted(t, w, first)
}

func TestDrifted(t *testing.T) {
	c, ns := open(t)
	w, told := watch(t, c)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nstringData: {a: b}"
	mr, _ := deploy(t, c, ns, "c1", all+"\n---\n"+secret)
	undrifted(t, w, mr)
	drifted := func(what, names string) {
		t.Helper()
		eventually(t, func() error {
			if got := fmt.Sprint(w.Drifted(mr)); got != names {
				return fmt.Errorf("%s: drifted %s, want %s", what, got, names)
			}
			return nil
		})
	}
	for len(told) > 0 {
		<-told
	}
	edit(t, ns, "ConfigMap", `{"metadata":{"annotations":{"note":"mine"}},"data":{"b":"2"}}`)
	drifted("fields davit does not have", "[]")
	edit(t, ns, "ConfigMap", `{"data":{"a":"2"}}`)
	drifted("a value", "[ConfigMap/iris]")
	want(t, "told", <-told, ns+"/iris")
	edit(t, ns, "ConfigMap", `{"metadata":{"annotations":{"davit.dev/drift":"ignore"}}}`)
	drifted("ignored", "[]")
	want(t, "an apply of the same content", actions(apply(t, c, mr, config, cluster.ApplyOptions{})), "unchanged ConfigMap/iris")
	edit(t, ns, "ConfigMap", `{"metadata":{"labels":{"davit.dev/release":null}}}`)
	drifted("label taken away", "[ConfigMap/iris]")
	set := apply(t, c, mr, strings.Replace(config, `"1"`, `"3"`, 1), cluster.ApplyOptions{})
	want(t, "label set again", actions(set), "configured ConfigMap/iris")
	mr.Status.Inventory = slices.DeleteFunc(set.Inventory, func(r v1alpha1.ObjectRef) bool { return r.Kind == "Secret" })
	for i := range mr.Status.Inventory {
		mr.Status.Inventory[i].Stale = false
	}
	drifted("settled", "[]")
	if err := client.AppsV1().Deployments(ns).Delete(t.Context(), "iris", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	drifted("deleted", "[Deployment.apps/iris]")
	set = apply(t, c, mr, deployment, cluster.ApplyOptions{})
	want(t, "made again", actions(set), "created Deployment.apps/iris")
}

func TestDriftIsShownFieldByField(t *testing.T) {
	c, ns := open(t)
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nstringData: {key: pl4nted-own}"
	withEnv := strings.Replace(deployment, `image: "registry.example.com/server:1"`,
		`image: "registry.example.com/server:1", env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: iris, key: key}}}]`, 1)
	text := strings.Join([]string{config, withEnv, secret, configMap("gone")}, "\n---\n")
	mr, _ := deploy(t, c, ns, "c1", text)
	drift := func() string {
		t.Helper()
		found, err := c.Drift(t.Context(), mr, objects(t, text))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, d := range found {
			lines = append(lines, d.String())
		}
		return strings.Join(lines, "\n")
	}
	want(t, "at first", drift(), "")
	edit(t, ns, "Deployment", `{"spec":{"replicas":5,"template":{"spec":{"containers":[{"name":"server","image":"drifted","env":[{"name":"TOKEN","value":"s3cret","valueFrom":null}]}]}}}}`)
	edit(t, ns, "ConfigMap", `{"data":{"a":null}}`)
	if err := client.CoreV1().ConfigMaps(ns).Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"stringData":{"key":"pl4nted-other"}}`)
	if _, err := client.CoreV1().Secrets(ns).Patch(t.Context(), "iris", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
	got := drift()
	for _, line := range []string{
		`ConfigMap/iris: .data is gone, was {"a":"1"}`,
		`Deployment.apps/iris: .spec.replicas is 5, not 2 (by kubectl-edit)`,
		`.spec.template.spec.containers[name="server"].env[name="TOKEN"].valueFrom is gone, was {"secretKeyRef":{"key":"key","name":"iris"}}`,
		`.spec.template.spec.containers[name="server"].image is "drifted", not "registry.example.com/server:1" (by kubectl-edit)`,
		`Secret/iris: .data.key is (hidden), not (hidden) (by kubectl-edit)`,
		`ConfigMap/gone is missing`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(got, "s3cret") || strings.Contains(got, "pl4nted") || t.Failed() {
		t.Errorf("got\n%s", got)
	}
	// What a person took out of davit's hands is no drift.
	edit(t, ns, "Deployment", `{"metadata":{"annotations":{"davit.dev/drift":"ignore"}}}`)
	if got := drift(); strings.Contains(got, "Deployment") {
		t.Errorf("an object whose drift is to be ignored: %s", got)
	}
	edit(t, ns, "Deployment", `{"metadata":{"annotations":{"davit.dev/drift":null}}}`)
	// The value beside the valueFrom would be refused: what davit does not want goes first.
	apply(t, c, mr, text, cluster.ApplyOptions{})
	want(t, "corrected", drift(), "")
}

// TestSecretsAreNotWatched: a release may hold a Secret, and davit's own user never lists or watches them.
func TestSecretsAreNotWatched(t *testing.T) {
	line := &wire{}
	c, ns := open(t, line.on)
	w, _ := watch(t, c)
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nstringData: {key: one}"
	requests := line.count(func() {
		for _, commit := range []string{"c1", "c2"} {
			mr, _ := deploy(t, c, ns, commit, config+"\n---\n"+strings.Replace(secret, "one", commit, 1))
			w.Track(cluster.Kinds(objects(t, secret))...)
			w.Drifted(mr)
			if err := w.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
	line.mu.Lock()
	defer line.mu.Unlock()
	for _, r := range append(requests, line.watched...) {
		if strings.HasSuffix(r, "/secrets") {
			t.Errorf("listed or watched: %s", r)
		}
	}
	if !slices.ContainsFunc(line.watched, func(r string) bool { return strings.HasSuffix(r, "/configmaps") }) {
		t.Errorf("no ConfigMaps in %q", line.watched)
	}
	if !slices.ContainsFunc(requests, func(r string) bool { return strings.HasSuffix(r, "/namespaces/"+ns+"/secrets/iris") }) {
		t.Errorf("no Secret in %q", requests)
	}
}
