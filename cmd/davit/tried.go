package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// triedObjects are a release's objects as they are tried.
type triedObjects struct {
	objects []*unstructured.Unstructured
	left    []string // what is left out, and why
	secrets []string // that pods read and the release does not bring
	pulls   []string // that images are pulled with, and the release does not bring
	port    string   // the Service's
}

// tried leaves out what leads production's users here and, unless full, what makes more than one replica; the rest is
// labelled so that nobody takes it for the environment's. It changes copies.
func tried(rendered []*unstructured.Unstructured, full bool) *triedObjects {
	t := &triedObjects{port: "80"}
	for _, o := range rendered {
		o = o.DeepCopy()
		kind := o.GroupVersionKind()
		switch {
		case leadsHere(kind):
			t.left = append(t.left, kind.Kind+"/"+o.GetName()+", which leads users to the release")
			continue
		case !full && (kind.Kind == "HorizontalPodAutoscaler" || kind.Kind == "PodDisruptionBudget" || kind.Group == "keda.sh"):
			t.left = append(t.left, kind.Kind+"/"+o.GetName()+"; --full keeps it")
			continue
		case kind.Kind == "Service" && t.port == "80":
			t.port = firstPort(o)
		}
		if kind.Kind == "Service" && kind.Group == "" && withdrawn(o) {
			t.left = append(t.left, "what leads users to Service/"+o.GetName()+" from outside the cluster")
		}
		if !full {
			oneReplica(o)
		}
		labelTried(o.Object, "metadata")
		labelTried(o.Object, "spec", "template", "metadata")
		t.objects = append(t.objects, o)
	}
	secrets, pulls := map[string]bool{}, map[string]bool{}
	for _, o := range t.objects {
		secretsIn(o.Object, secrets)
		pullSecretsIn(o.Object, pulls)
	}
	for _, o := range t.objects {
		if o.GetKind() == "Secret" {
			delete(secrets, o.GetName())
			delete(pulls, o.GetName())
		}
	}
	t.secrets, t.pulls = slices.Sorted(maps.Keys(secrets)), slices.Sorted(maps.Keys(pulls))
	return t
}

// routers are the groups whose kinds lead users to a Service, whoever's they are; what ends with a dot begins several.
var routers = []string{
	"gateway.networking.", "inference.networking.", "networking.istio.io", "route.openshift.io", "traefik.io", "traefik.containo.us",
	"projectcontour.io", "getambassador.io", "externaldns.k8s.io", "externaldns.nginx.org",
}

// leadsHere says whether a kind leads users to a release.
func leadsHere(kind schema.GroupVersionKind) bool {
	return kind.Kind == "Ingress" || slices.ContainsFunc(routers, func(group string) bool {
		return kind.Group == group || strings.HasSuffix(group, ".") && strings.HasPrefix(kind.Group, group)
	})
}

// externalDNS begins the annotations by which external-dns gives a Service a name that users know.
const externalDNS = "external-dns.alpha.kubernetes.io/"

// withdrawn takes from a Service what leads to it from outside the cluster, and says whether there was any. A fixed address
// is another Service's.
func withdrawn(o *unstructured.Unstructured) (was bool) {
	annotations := o.GetAnnotations()
	for name := range annotations {
		if strings.HasPrefix(name, externalDNS) {
			delete(annotations, name)
			was = true
		}
	}
	o.SetAnnotations(annotations)
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	was = was || spec["type"] == "LoadBalancer" || spec["type"] == "NodePort" || spec["externalIPs"] != nil
	if ip := spec["clusterIP"]; ip != nil && ip != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	if spec["type"] == "LoadBalancer" || spec["type"] == "NodePort" {
		delete(spec, "type")
	}
	for _, field := range []string{
		"externalIPs", "loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts",
		"externalTrafficPolicy", "healthCheckNodePort",
	} {
		delete(spec, field)
	}
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	_ = unstructured.SetNestedMap(o.Object, spec, "spec")
	return was
}

// labelTried marks metadata, where there is any. No selector looks at the environment.
func labelTried(object map[string]any, way ...string) {
	labels, found, err := unstructured.NestedStringMap(object, append(way, "labels")...)
	if err != nil || !found {
		return
	}
	labels[cluster.LabelTry], labels[cluster.LabelEnvironment] = "true", "try"
	_ = unstructured.SetNestedStringMap(object, labels, append(way, "labels")...)
}

// oneReplica is what a try needs.
func oneReplica(o *unstructured.Unstructured) {
	switch o.GetKind() {
	case "Deployment", "StatefulSet", "LeaderWorkerSet":
		_ = unstructured.SetNestedField(o.Object, int64(1), "spec", "replicas")
	case "InferenceService":
		_ = unstructured.SetNestedField(o.Object, int64(1), "spec", "predictor", "minReplicas")
		_ = unstructured.SetNestedField(o.Object, int64(1), "spec", "predictor", "maxReplicas")
	}
}

func firstPort(service *unstructured.Unstructured) string {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	if len(ports) > 0 {
		if port, ok := ports[0].(map[string]any); ok {
			if n, ok := port["port"].(int64); ok {
				return strconv.FormatInt(n, 10)
			}
		}
	}
	return "80"
}

// secretsIn collects the names of the Secrets that pods can't start without, wherever in an object they stand.
func secretsIn(v any, names map[string]bool) {
	add := func(in map[string]any, key string) {
		if name, ok := in[key].(string); ok && name != "" && in["optional"] != true {
			names[name] = true
		}
	}
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			secretsIn(each, names)
		}
	case map[string]any:
		for key, each := range v {
			ref, isMap := each.(map[string]any)
			switch {
			case isMap && (key == "secretKeyRef" || key == "secretRef"):
				add(ref, "name")
			case isMap && key == "secret":
				add(ref, "secretName")
				add(ref, "name")
			}
			secretsIn(each, names)
		}
	}
}

// pullSecretsIn collects the names of the Secrets that images are pulled with.
func pullSecretsIn(v any, names map[string]bool) {
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			pullSecretsIn(each, names)
		}
	case map[string]any:
		for key, each := range v {
			refs, _ := each.([]any)
			for _, r := range refs {
				ref, _ := r.(map[string]any)
				if name, ok := ref["name"].(string); ok && key == "imagePullSecrets" {
					names[name] = true
				}
			}
			pullSecretsIn(each, names)
		}
	}
}
