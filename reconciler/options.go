package reconciler

import (
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// ApplyOptions says in the cluster's words what a release asks for; a plan goes by the same.
func ApplyOptions(r *registry.Release) cluster.ApplyOptions {
	if r.Serving.Rollout.OnImmutable == "recreate" {
		return cluster.ApplyOptions{OnImmutable: cluster.Recreate}
	}
	return cluster.ApplyOptions{}
}

// healthOptions says it of a release and its environment.
func healthOptions(t *target) cluster.HealthOptions {
	options := cluster.HealthOptions{StartupTimeout: t.release.Serving.Rollout.StartupTimeout.Or(defaultStartupTimeout)}
	for _, e := range t.release.Environment.Spec.HealthCheckExprs {
		options.Exprs = append(options.Exprs, cluster.HealthExpr{
			APIVersion: e.APIVersion, Kind: e.Kind, Current: e.Current, InProgress: e.InProgress, Failed: e.Failed,
		})
	}
	return options
}
