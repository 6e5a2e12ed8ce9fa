package render

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// The objects that davit adds to a base, below the Components so that those can bend them. They are called by these
// names there.
const (
	budgetName  = "disruption-budget"
	scalerName  = "autoscaler"
	policyName  = "network-policy"
	monitorName = "service-monitor"
	routeName   = "route"
)

// beside are the objects that the Serving or the environment wants beside the server. KServe makes its own.
func (o *overlay) beside(r *registry.Release, n names) (files []file) {
	add := func(name string, made object) { files = append(files, file{name + ".yaml", made}) }
	policy, kserve := r.Environment.Spec.Serving, r.Runtime.Spec.Workload.Kind == inferenceService
	if policy.DisruptionBudget && !kserve && !r.MultiNode() && several(r) {
		add(budgetName, object{
			"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": object{"name": budgetName},
			"spec": object{"maxUnavailable": 1, "selector": object{"matchLabels": n.selector()}},
		})
	}
	if r.Serving.Autoscale != nil && !kserve {
		add(scalerName, autoscaler(r, n))
	}
	if policy.NetworkPolicy != nil {
		add(policyName, networkPolicy(policy.NetworkPolicy, n))
	}
	if policy.ServiceMonitor && r.Runtime.Spec.Metrics.Port != "" && r.Runtime.Spec.Service != "" {
		add(monitorName, serviceMonitor(r, n))
	}
	if r.Serving.Route != nil {
		add(routeName, o.route(r, n))
	}
	return files
}

// several says whether the release has two pods or more.
func several(r *registry.Release) bool {
	if a := r.Serving.Autoscale; a != nil {
		return a.Min > 1
	}
	return r.Serving.Replicas != nil && *r.Serving.Replicas > 1
}

func autoscaler(r *registry.Release, n names) object {
	a, w := r.Serving.Autoscale, r.Runtime.Spec.Workload // Kustomize carries its new name here
	if r.MultiNode() {
		w = registry.ObjectRef{APIVersion: group.APIVersion, Kind: group.Kind, Name: n.workload()} // of a kind that it does not know
	}
	metric := object{"type": "Pods", "pods": object{
		"metric": object{"name": a.Metric}, "target": object{"type": "AverageValue", "averageValue": strconv.Itoa(a.Target)},
	}}
	if a.Metric == "cpu" || a.Metric == "memory" {
		metric = object{"type": "Resource", "resource": object{
			"name": a.Metric, "target": object{"type": "Utilization", "averageUtilization": a.Target},
		}}
	}
	return object{
		"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": object{"name": scalerName},
		"spec": object{
			"scaleTargetRef": object{"apiVersion": w.APIVersion, "kind": w.Kind, "name": w.Name},
			"minReplicas":    a.Min, "maxReplicas": a.Max, "metrics": []any{metric},
		},
	}
}

func networkPolicy(p *registry.NetworkPolicy, n names) object {
	from := []any{object{"podSelector": object{}}}
	for _, ns := range p.Namespaces {
		from = append(from, object{"namespaceSelector": object{"matchLabels": object{"kubernetes.io/metadata.name": ns}}})
	}
	return object{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": object{"name": policyName},
		"spec": object{
			"podSelector": object{"matchLabels": n.selector()},
			"policyTypes": []any{"Ingress"},
			"ingress":     []any{object{"from": from}},
		},
	}
}

// serviceMonitor selects one Service, since two lead to the same pods where each revision has its own.
func serviceMonitor(r *registry.Release, n names) object {
	m := r.Runtime.Spec.Metrics
	return object{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": object{"name": monitorName},
		"spec": object{
			"selector":  object{"matchLabels": n.selector()},
			"endpoints": []any{object{"port": m.Port, "path": cmp.Or(m.Path, "/metrics")}},
		},
	}
}

// route leads to the Service; a canary's to the revision's own, whose weight the rollout changes.
func (o *overlay) route(r *registry.Release, n names) object {
	to := r.Serving.Route
	parent := object{"name": to.Gateway}
	if ns, name, ok := strings.Cut(to.Gateway, "/"); ok {
		parent = object{"namespace": ns, "name": name}
	}
	backend := object{"name": r.Name, "port": o.base.port()}
	if r.Serving.Rollout.Strategy == registry.Canary {
		backend["name"], backend["weight"] = n.workload(), int64(100)
	}
	return object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": object{"name": routeName},
		"spec": object{
			"hostnames":  []any{to.Hostname},
			"parentRefs": []any{parent},
			"rules": []any{object{
				"matches":     []any{object{"path": object{"type": "PathPrefix", "value": cmp.Or(to.Path, "/")}}},
				"backendRefs": []any{backend},
			}},
		},
	}
}

// port is the Service's first.
func (b *base) port() any {
	for _, p := range b.ports {
		if p, ok := p.(object); ok {
			return p["port"]
		}
	}
	return int64(80)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
