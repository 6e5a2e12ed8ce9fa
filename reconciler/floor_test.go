package reconciler_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestFloor: what a ModelRegistry's grant asks of promotions no file lowers. What is wrong with it is told at its field,
// by the API server where that can be.
func TestFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("production", "  gates: {metrics: {accuracy: {min: 0.1}}}\n  quota: {gpus: 100}\n")
	w.commit("hardly any gates")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	defer w.control("first", namespace, make(chan string, 10))()
	w.until(production, "v1", v1alpha1.Healthy)
	policy := func(text string) error {
		patch := []byte(`[{"op": "add", "path": "/spec/environments/0/policy", "value": ` + text + `}]`)
		_, err := registries.Patch(t.Context(), "models", types.JSONPatchType, patch, metav1.PatchOptions{})
		return err
	}
	for text, want := range map[string]string{
		`{"gates": {"metrics": {"auc": {"min": 0.9}}}}`:                                        "policy.gates.metrics.auc.min: Invalid value",
		`{"gates": {"metrics": {"auc": {"min": "high"}}}}`:                                     "policy.gates.metrics.auc.min: Invalid value",
		`{"gates": {"healthyIn": {"staging": "1d"}}}`:                                          "policy.gates.healthyIn.staging: Invalid value",
		`{"freeze": [{"name": "audit", "schedule": "0 0 1 * *"}]}`:                             "write schedule and duration, or from and until",
		`{"freeze": [{"name": "audit", "from": "tomorrow", "until": "2026-01-01T00:00:00Z"}]}`: "policy.freeze[0].from",
		`{"quota": {"gpus": -1}}`:                                                              "policy.quota.gpus: Invalid value",
		`{"roles": {"risk": []}}`:                                                              "policy.roles.risk: Invalid value",
	} {
		if err := policy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := policy(`{"gates": {"metrics": {"accuracy": {"min": "0.9", "max": "0.5"}}}, "roles": {"urgent": ["ada"]}, "freeze": [{"name": "audit", "schedule": "monthly", "duration": "24h"}]}`); err != nil {
		t.Fatal(err)
	}
	w.eventually("refused, with all that is wrong", func() bool {
		_, ready := w.registry(registries)
		return ready.Status == metav1.ConditionFalse && strings.Contains(ready.Message, `environment "production": policy.`) &&
			strings.Contains(ready.Message, `policy.gates.metrics.accuracy: metric "accuracy": min 0.9 is more than max 0.5`) &&
			strings.Contains(ready.Message, `policy.roles.urgent.0: "ada" is not a public key`) &&
			strings.Contains(ready.Message, `policy.freeze.0: freeze "audit": schedule "monthly"`)
	})
	if err := policy(`{"gates": {"metrics": {"accuracy": {"min": "0.97"}}}, "quota": {"gpus": 1}}`); err != nil {
		t.Fatal(err)
	}
	w.promote("v1", "v2")
	w.waits("GateClosed", "accuracy of iris@v2 is 0.96: less than 0.97")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1\n  accelerator: gpu\n  gpus: 2")
	w.commit("more GPUs than the floor has")
	w.waits("QuotaExceeded", "environment production may have 1 GPU: 0 are in use or promised, and iris asks for 2")
	if err := policy(`{"gates": {"metrics": {"accuracy": {"min": "0.9"}}}}`); err != nil {
		t.Fatal(err)
	}
	w.edit("releases/iris/production.yaml", "version: v1\n  accelerator: gpu\n  gpus: 2", "version: v2")
	w.commit("v2 again")
	w.until(production, "v2", v1alpha1.Healthy)
}
