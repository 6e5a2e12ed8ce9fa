package status

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestRegistryFindings: that a registry is suspended, that nobody is notified, and that no Prometheus answers, is said.
func TestRegistryFindings(t *testing.T) {
	mr := &v1alpha1.ModelRegistry{ObjectMeta: metav1.ObjectMeta{Namespace: "davit", Name: "models"}}
	s, healthy := situation{registry: mr}, modelRelease(v1alpha1.Healthy, "Healthy", "")
	if got := findings(healthy, s); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	mr.Spec.Suspend = true
	got := findings(healthy, s)
	if len(got) != 1 || got[0].Do[0] != `kubectl -n davit patch modelregistry models --type=merge -p '{"spec":{"suspend":false}}'` {
		t.Errorf("of a suspended one: %+v", got)
	}
	mr.Spec.Suspend = false
	mr.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionNotified, Status: metav1.ConditionFalse, Message: "ops: gone"}}
	if got := findings(healthy, s); len(got) != 1 || !strings.Contains(got[0].Text, "ops: gone") {
		t.Errorf("of one that notifies nobody: %+v", got)
	}
	mr.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionMonitored, Status: metav1.ConditionFalse, Message: "environment production: refused"}}
	if got := findings(healthy, s); len(got) != 1 || !strings.Contains(got[0].Text, "environment production: refused") {
		t.Errorf("of one whose Prometheus does not answer: %+v", got)
	}
	mr.Status.Conditions[0].Message = "environment staging: refused"
	if got := findings(healthy, s); len(got) != 0 {
		t.Errorf("of one whose other environment's does not: %+v", got)
	}
}
