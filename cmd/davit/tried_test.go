package main

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestTriedLeadsNobodyHere: what a Component may add to a release leads no user from outside the cluster to its try.
func TestTriedLeadsNobodyHere(t *testing.T) {
	made := tried(parsed(t, `
apiVersion: v1
kind: Service
metadata:
  name: iris
  annotations: {external-dns.alpha.kubernetes.io/hostname: iris.example.com, kept: "yes"}
spec:
  type: LoadBalancer
  clusterIP: 10.0.0.7
  loadBalancerIP: 192.0.2.1
  externalIPs: [192.0.2.2]
  externalTrafficPolicy: Local
  ports: [{port: 8080, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: iris-pods}
spec: {clusterIP: None, ports: [{port: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: iris}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: iris}
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: iris}
---
apiVersion: externaldns.k8s.io/v1alpha1
kind: DNSEndpoint
metadata: {name: iris}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: iris}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: iris}
spec:
  template:
    spec: {imagePullSecrets: [{name: pull}], volumes: [{name: s, secret: {secretName: hf}}]}
`), false)
	var names []string
	for _, o := range made.objects {
		names = append(names, o.GetKind()+"/"+o.GetName())
	}
	if want := []string{"Service/iris", "Service/iris-pods", "Deployment/iris"}; !slices.Equal(names, want) {
		t.Errorf("tried are %v, want %v", names, want)
	}
	text, err := yaml.Marshal(made.objects[0].Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"external-dns", "LoadBalancer", "10.0.0.7", "192.0.2", "nodePort", "externalTraffic"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the Service has %s:\n%s", bad, text)
		}
	}
	if got := made.objects[0].GetAnnotations()["kept"]; got != "yes" || made.port != "8080" {
		t.Errorf("annotation %q, port %s", got, made.port)
	}
	if ip, _, _ := unstructured.NestedString(made.objects[1].Object, "spec", "clusterIP"); ip != "None" {
		t.Errorf("the headless Service has address %q", ip)
	}
	if len(made.left) != 6 || !slices.Contains(made.left, "what leads users to Service/iris from outside the cluster") {
		t.Errorf("left out: %q", made.left)
	}
	if !slices.Equal(made.secrets, []string{"hf"}) || !slices.Equal(made.pulls, []string{"pull"}) {
		t.Errorf("secrets %v, to pull with %v", made.secrets, made.pulls)
	}
}

func parsed(t *testing.T, text string) (objects []*unstructured.Unstructured) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "---") {
		o := &unstructured.Unstructured{}
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err == nil {
			err = o.UnmarshalJSON(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	return objects
}
