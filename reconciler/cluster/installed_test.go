package cluster_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestInstalled: what was created before the CRD or the namespace it was in went with the ones of before, and nobody asked
// for it to be deleted.
func TestInstalled(t *testing.T) {
	c, ns := open(t)
	uninstalled := func(err error) bool { return errors.As(err, new(*cluster.UninstalledError)) }
	before, now := metav1.NewTime(time.Now().Add(-time.Hour)), metav1.Now()
	for _, created := range []metav1.Time{before, now} {
		mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: ns, CreationTimestamp: created}}
		if err := c.Installed(t.Context(), mr); uninstalled(err) != (created == before) || !uninstalled(err) && err != nil {
			t.Errorf("created %s: %v", created, err)
		}
		release := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Name: "production.iris", Namespace: ns, CreationTimestamp: created}}
		if err := c.KindInstalled(t.Context(), release); uninstalled(err) != (created == before) || !uninstalled(err) && err != nil {
			t.Errorf("created %s: %v", created, err)
		}
	}
	mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Name: "models", Namespace: "nowhere", CreationTimestamp: now}}
	if err := c.Installed(t.Context(), mr); !uninstalled(err) {
		t.Errorf("its namespace is gone: %v", err)
	}
}
