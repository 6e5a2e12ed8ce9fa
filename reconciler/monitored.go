package reconciler

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// monitored tells how asking an environment's Prometheus went.
func (r *Reconciler) monitored(environment string, err error) {
	if r.cfg.Monitored != nil {
		r.cfg.Monitored(environment, err)
	}
}

// tellMonitored keeps the ModelRegistry's condition of that, over all environments; it is taken away where none has a
// Prometheus.
func (cfg ControllerConfig) tellMonitored(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) func(string, error) {
	if !slices.ContainsFunc(mr.Spec.Environments, func(g v1alpha1.EnvironmentGrant) bool { return g.Prometheus != nil }) {
		cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) {
			meta.RemoveStatusCondition(&st.Conditions, v1alpha1.ConditionMonitored)
		})
		return nil
	}
	var mu sync.Mutex
	troubles := map[string]string{} // by environment
	return func(environment string, err error) {
		mu.Lock()
		defer mu.Unlock()
		delete(troubles, environment)
		if err != nil {
			troubles[environment] = "environment " + environment + ": " + brief(err.Error())
		}
		c := metav1.Condition{Type: v1alpha1.ConditionMonitored, Status: metav1.ConditionTrue, Reason: v1alpha1.ConditionMonitored, ObservedGeneration: mr.Generation}
		if len(troubles) > 0 {
			c.Status, c.Reason, c.Message = metav1.ConditionFalse, prometheusUnreachable, strings.Join(slices.Sorted(maps.Values(troubles)), "; ")
		}
		cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) { setCondition(&st.Conditions, c) })
	}
}
