package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// entitled says whether davit has the rights without which nothing goes on at a granted site: a forbidden list would
// come back as a cluster out of reach, and name one missing right at a time.
func (r *Reconciler) entitled(ctx context.Context, s *site) error {
	if r.cfg.Cluster != nil {
		return nil // the rights of who started it, in all namespaces
	}
	return s.cluster.CheckEnvironment(ctx)
}

// connected tells how reaching a site went.
func (r *Reconciler) connected(s *site, err error) {
	if r.cfg.Connected != nil {
		r.cfg.Connected(s.environments, err)
	}
}

// tellConnected keeps the ModelRegistry's condition of that, over all its sites.
func (cfg ControllerConfig) tellConnected(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) func([]string, error) {
	var mu sync.Mutex
	troubles := map[string]string{} // by environments
	denied := map[string]bool{}
	return func(environments []string, err error) {
		mu.Lock()
		defer mu.Unlock()
		key := strings.Join(slices.Sorted(slices.Values(environments)), ", ")
		delete(troubles, key)
		delete(denied, key)
		if err != nil {
			troubles[key] = "environment " + key + ": " + err.Error()
			denied[key] = errors.As(err, new(*cluster.MissingRightsError))
		}
		c := metav1.Condition{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1alpha1.ConditionConnected, ObservedGeneration: mr.Generation}
		if len(troubles) > 0 {
			c.Status, c.Reason = metav1.ConditionFalse, "Unreachable"
			if slices.Contains(slices.Collect(maps.Values(denied)), true) {
				c.Reason = "MissingRights"
			}
			c.Message = strings.Join(slices.Sorted(maps.Values(troubles)), "; ")
		}
		cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) { setCondition(&st.Conditions, c) })
	}
}
