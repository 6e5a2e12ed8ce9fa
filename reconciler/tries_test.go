package reconciler_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestTriesEnd: who follows a branch deletes the tries whose time is over, also one that ends meanwhile, and no other
// namespace, whatever it bears.
func TestTriesEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespaces := w.kubectl().CoreV1().Namespaces()
	create := func(name, label string, annotations map[string]string) {
		t.Helper()
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.id + "-" + name, Labels: map[string]string{cluster.LabelTry: label}, Annotations: annotations}}
		if _, err := namespaces.Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	until := func(after time.Duration) map[string]string {
		return map[string]string{"davit.dev/try-until": time.Now().Add(after).UTC().Format(time.RFC3339)}
	}
	create("over", "true", until(-time.Hour))
	create("later", "true", until(time.Hour))
	create("other", "false", until(-time.Hour))
	create("endless", "true", nil)
	create("unread", "true", map[string]string{"davit.dev/try-until": "soon"})
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	gone := func(name string) bool {
		ns, err := namespaces.Get(t.Context(), w.id+"-"+name, get)
		return err != nil || ns.DeletionTimestamp != nil
	}
	w.eventually("the one that was over is gone", func() bool { return gone("over") })

	// A namespace with a release in it is no try any more.
	bears := []byte(`{"metadata": {"labels": {"davit.dev/try": "true"}, "annotations": {"davit.dev/try-until": "2020-01-01T00:00:00Z"}}}`)
	if _, err := namespaces.Patch(t.Context(), w.namespace("production"), types.MergePatchType, bears, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	create("soon", "true", until(3*time.Second))
	stop()
	w.follow() // which looks at once, and again when that one's time is over
	w.eventually("the one that ended meanwhile is gone, too", func() bool { return gone("soon") })
	for _, name := range []string{"later", "other", "endless", "unread", "production"} {
		if gone(name) {
			t.Errorf("%s is gone", name)
		}
	}
}
