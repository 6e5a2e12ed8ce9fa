package cluster_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Pages are read into the memory of the page before; nothing of that may be left in a release, or change with the next.
func TestReleasesByPages(t *testing.T) {
	c, ns := open(t)
	kept := map[string]*v1alpha1.ModelRelease{}
	for _, name := range []string{"a", "b", "c", "d"} {
		mr, err := c.Claim(t.Context(), cluster.Target{Namespace: ns, Environment: "production", Release: name, Commit: "c-" + name})
		if err == nil && (name == "a" || name == "c") {
			st := &mr.Status
			st.Applied.Commit, st.Phase = "c-"+name, v1alpha1.RolledBack
			st.Held = &v1alpha1.HeldRevision{Commit: "held-" + name, Version: "v0", Time: metav1.Now().Rfc3339Copy()}
			st.Inventory = []v1alpha1.ObjectRef{{Version: "v1", Kind: "ConfigMap", Name: "of-" + name}}
			st.Outcomes = []v1alpha1.Outcome{{Commit: "c-" + name, Version: "v1", Outcome: v1alpha1.Superseded, At: metav1.Now().Rfc3339Copy()}}
			_, err = c.WriteStatus(t.Context(), mr)
		}
		if err == nil {
			kept[name], err = c.Release(t.Context(), ns, "production", name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1, 2, 3, 500} {
		all, err := c.ReleasesBy(t.Context(), size)
		if err != nil || len(all) != len(kept) {
			t.Fatalf("%d releases by pages of %d, %v", len(all), size, err)
		}
		for _, mr := range all {
			mr.TypeMeta = metav1.TypeMeta{} // what is read alone has none
			want(t, mr.Name, text(t, mr), text(t, kept[mr.Spec.Release]))
		}
	}
}
