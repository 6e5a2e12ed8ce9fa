package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// apiOf is what has to be served for a feature that an environment declares.
var apiOf = map[string]string{
	registry.GatewayAPI:         "gateway.networking.k8s.io/v1",
	registry.JobSet:             "jobset.x-k8s.io/v1alpha2",
	registry.LeaderWorkerSet:    "leaderworkerset.x-k8s.io/v1",
	registry.Kueue:              "kueue.x-k8s.io",
	registry.KServe:             "serving.kserve.io/v1beta1",
	registry.PrometheusOperator: "monitoring.coreos.com/v1",
	registry.DRA:                "resource.k8s.io/v1",
}

// missing is what an environment declares of its cluster that is not so. drivers says that some driver offers devices.
func missing(models *registry.Registry, env *registry.Environment, apis *cluster.APIs, drivers bool) (faults []registry.Fault) {
	add := func(field []string, format string, args ...any) {
		faults = append(faults, registry.Fault{
			Path: env.Path, Line: models.Line(env.Path, append([]string{"capabilities"}, field...)...), Text: fmt.Sprintf(format, args...),
		})
	}
	declared := env.Spec.Capabilities
	if v := declared.Kubernetes; v != "" && older(apis.Kubernetes, v) {
		add([]string{"kubernetes"}, "declares Kubernetes %s, and the cluster's is %s; declare that, or upgrade the cluster", v, apis.Kubernetes)
	}
	for i, feature := range declared.Features {
		switch api := apiOf[feature]; {
		case !apis.Has(api):
			add([]string{"features", strconv.Itoa(i)}, "declares %s, and the cluster has no %s; install it or remove it", feature, api)
		case feature == registry.DRA && !drivers:
			add([]string{"features", strconv.Itoa(i)}, "declares %s, and no driver in the cluster offers a device; install one or remove it", feature)
		}
	}
	return faults
}

// older compares versions such as "1.37".
func older(a, b string) bool {
	numbers := func(s string) (n []int) {
		for part := range strings.SplitSeq(s, ".") {
			v, _ := strconv.Atoi(part)
			n = append(n, v)
		}
		return n
	}
	return slices.Compare(numbers(a), numbers(b)) < 0
}
