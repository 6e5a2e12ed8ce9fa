package reconciler

import (
	"github.com/davit-dev/davit/reconciler/cluster"
)

// applyOptions and healthOptions say in the cluster's words what a release and its environment ask for.
func applyOptions(t *target) cluster.ApplyOptions {
	if t.release.Serving.Rollout.OnImmutable == "recreate" {
		return cluster.ApplyOptions{OnImmutable: cluster.Recreate}
	}
	return cluster.ApplyOptions{}
}

func healthOptions(t *target) cluster.HealthOptions {
	options := cluster.HealthOptions{StartupTimeout: t.release.Serving.Rollout.StartupTimeout.Or(defaultStartupTimeout)}
	for _, e := range t.release.Environment.Spec.HealthCheckExprs {
		options.Exprs = append(options.Exprs, cluster.HealthExpr{
			APIVersion: e.APIVersion, Kind: e.Kind, Current: e.Current, InProgress: e.InProgress, Failed: e.Failed,
		})
	}
	return options
}
