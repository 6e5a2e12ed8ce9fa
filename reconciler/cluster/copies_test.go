package cluster_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// TestCopiesOfTwo: a copy that two ModelRegistries want goes with the last of them; a Secret of the name that is no copy, or
// another Secret's, is neither written nor deleted.
func TestCopiesOfTwo(t *testing.T) {
	by := func(owner string) func(*cluster.Config) { return func(c *cluster.Config) { c.Owner = owner } }
	first, namespace := open(t, by("davit/first"))
	second := reopen(t, namespace, by("davit/second"))
	from := cluster.SecretCopy{From: "davit/pull", Name: "pull", Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{".dockerconfigjson": []byte(`{"auths":{}}`)}}
	there := func() bool {
		_, err := client.CoreV1().Secrets(namespace).Get(t.Context(), "pull", metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(first.CopySecret(t.Context(), namespace, from))
	must(second.CopySecret(t.Context(), namespace, from))
	must(first.CopySecret(t.Context(), namespace, from)) // neither takes it from the other
	must(first.RemoveCopy(t.Context(), namespace, from.From, from.Name))
	if !there() {
		t.Fatal("the first took the second's copy away")
	}
	must(first.RemoveCopy(t.Context(), namespace, from.From, from.Name))
	if !there() {
		t.Fatal("taken back twice, it is gone")
	}
	must(second.RemoveCopy(t.Context(), namespace, from.From, from.Name))
	if there() {
		t.Fatal("the copy stays though nobody wants it")
	}
	must(second.RemoveCopy(t.Context(), namespace, from.From, from.Name))

	must(first.CopySecret(t.Context(), namespace, from))
	other := from
	other.From = "elsewhere/pull"
	if err := second.CopySecret(t.Context(), namespace, other); err == nil || !strings.Contains(err.Error(), "no copy of davit's") {
		t.Errorf("a copy of another Secret was written: %v", err)
	}
	must(second.RemoveCopy(t.Context(), namespace, other.From, other.Name))
	if !there() {
		t.Error("a copy of another Secret was deleted")
	}
}
