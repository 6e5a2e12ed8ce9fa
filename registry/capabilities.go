package registry

import (
	"slices"
	"strconv"
	"strings"
)

// What an environment's cluster may declare under capabilities.features: APIs that not every cluster has.
const (
	GatewayAPI         = "gatewayAPI"         // gateway.networking.k8s.io/v1, for routes
	JobSet             = "jobset"             // jobset.x-k8s.io/v1alpha2, for trainings on several nodes
	LeaderWorkerSet    = "leaderWorkerSet"    // leaderworkerset.x-k8s.io/v1, for models on several nodes
	Kueue              = "kueue"              // kueue.x-k8s.io, for queues of trainings
	KServe             = "kserve"             // serving.kserve.io/v1beta1, for InferenceServices
	PrometheusOperator = "prometheusOperator" // monitoring.coreos.com/v1, for ServiceMonitors
	DRA                = "dra"                // resource.k8s.io/v1 with a driver for the GPUs
	Metrics            = "metrics"            // metrics.k8s.io, to scale by cpu and memory
	CustomMetrics      = "customMetrics"      // custom.metrics.k8s.io, to scale by metrics of the pods
	ImageVolume        = "imageVolume"        // pods mount images before Kubernetes 1.35
)

var features = []string{GatewayAPI, JobSet, LeaderWorkerSet, Kueue, KServe, PrometheusOperator, DRA, Metrics, CustomMetrics, ImageVolume}

// Has says whether the cluster declares a feature.
func (c Capabilities) Has(feature string) bool { return slices.Contains(c.Features, feature) }

// AtLeast says whether the cluster is of that minor version of Kubernetes 1 or newer; one that declares none is
// taken for a current one.
func (c Capabilities) AtLeast(minor int) bool {
	number, ok := strings.CutPrefix(c.Kubernetes, "1.")
	if !ok {
		return true
	}
	n, err := strconv.Atoi(number)
	return err != nil || n >= minor
}

func checkCapabilities(f *faultsOf, c Capabilities) {
	if v := c.Kubernetes; v != "" && !minor.MatchString(v) {
		f.add([]string{"capabilities", "kubernetes"}, `kubernetes: %q is not a minor version; write one such as "1.37"`, v)
	}
	for i, feature := range c.Features {
		if !slices.Contains(features, feature) {
			f.add([]string{"capabilities", "features", strconv.Itoa(i)}, "feature %q is not known%s", feature, nearest(feature, features))
		}
	}
}
