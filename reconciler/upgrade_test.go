package reconciler_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

var (
	inputKeys = regexp.MustCompile(`"inputKey":"[0-9a-z]+"`)
	hashes    = regexp.MustCompile(`"objectsHash":"[0-9a-z]+"`)
)

// byAnother makes production's ModelReleases what another davit, of another renderer, would have left: its input keys, and
// with other objects also their hashes.
func (w *world) byAnother(otherObjects bool, names ...string) {
	w.t.Helper()
	for _, name := range names {
		mr, err := w.cluster.Release(w.t.Context(), w.namespace("production"), "production", name)
		if err != nil {
			w.t.Fatal(err)
		}
		data, err := json.Marshal(mr.Status)
		if err != nil {
			w.t.Fatal(err)
		}
		data = inputKeys.ReplaceAll(data, []byte(`"inputKey":"another"`))
		if otherObjects {
			data = hashes.ReplaceAll(data, []byte(`"objectsHash":"another"`))
		}
		mr.Status = v1alpha1.ModelReleaseStatus{}
		if err := json.Unmarshal(data, &mr.Status); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.cluster.WriteStatus(w.t.Context(), mr); err != nil {
			w.t.Fatal(err)
		}
	}
}

// versions are the resourceVersions of production's Deployments.
func (w *world) versions(names ...string) (all []string) {
	w.t.Helper()
	for _, name := range names {
		all = append(all, w.deployment(name).ResourceVersion)
	}
	return all
}

// TestUpgrade: what another davit left is not touched where this one renders the same bytes, and goes in waves where it
// renders others.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	w.add(names...)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  fleet: {waves: [1, 50%, 100%], soak: 1s}")
	w.remove("releases/iris")
	w.commit("four releases")
	stop := w.follow()
	w.all(names...)
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.eventually("all at the shared change", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool { return w.of(name).Healthy.Commit != head })
	})
	w.write("models/README.md", "of no concern to any release\n")
	w.commit("the tip is not the commit that they are at")
	stop()

	before := w.versions(names...)
	w.byAnother(false, names...)
	stop = w.follow()
	w.eventually("recorded by this davit", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool { return w.of(name).Applied.InputKey == "another" })
	})
	stop()
	if after := w.versions(names...); !slices.Equal(before, after) {
		t.Errorf("Deployments were written: %v, then %v", before, after)
	}

	w.byAnother(true, names...)
	for len(w.reports) > 0 {
		<-w.reports
	}
	told := make(chan []v1alpha1.Rollout, 100)
	w.follow(func(c *reconciler.Config) { c.Rollouts = func(r []v1alpha1.Rollout) { told <- r } })
	tip := w.git("rev-parse", "HEAD")
	w.eventually("soaking after the first wave", func() bool {
		r := <-told
		return len(r) == 1 && r[0].Commit == tip && r[0].Wave == 2 && r[0].Begun == 1 && r[0].Releases == 4
	})
	var order []string
	for len(order) < 4 {
		if r := w.any(v1alpha1.Progressing); r.Phase == v1alpha1.Progressing {
			order = append(order, r.Key.Name)
		}
	}
	if order[0] != "a" || order[1] != "b" {
		t.Errorf("order %v, want a, then b, then c and d", order)
	}
	w.eventually("healthy by this davit", func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			st := w.of(name)
			return st.Phase != v1alpha1.Healthy || st.Healthy.ObjectsHash == "another" || st.Healthy.Commit != head
		})
	})
	if pods, err := w.kubectl().CoreV1().Pods(w.namespace("production")).List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) == 0 {
		t.Errorf("%d pods, %v", len(pods.Items), err)
	}
}
