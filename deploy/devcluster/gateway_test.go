package devcluster

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGateway(t *testing.T) {
	began := time.Now()
	c := start(t, Config{Nodes: 1, Controllers: []string{"gateway"}})
	t.Logf("ready after %v", time.Since(began))
	if code, _ := ask(t, c, "nobody.example.com", "/"); code != http.StatusNotFound {
		t.Errorf("asked for a host without a route, the gateway answered %d", code)
	}
	kubectl(t, c, "apply", "-f", "testdata/routes.yaml")
	for route, want := range map[string]string{"found": "True", "lost": "False"} {
		const condition = `{.status.parents[?(@.controllerName=="traefik.io/gateway-controller")].conditions[?(@.type=="%s")].%s}`
		kubectl(t, c, "wait", "httproute/"+route, "--timeout=300s", "--for=jsonpath="+fmt.Sprintf(condition, "ResolvedRefs", "status")+"="+want)
		kubectl(t, c, "wait", "httproute/"+route, "--timeout=300s", "--for=jsonpath="+fmt.Sprintf(condition, "Accepted", "status")+"=True")
		if reason := kubectl(t, c, "get", "httproute", route, "-o", "jsonpath="+fmt.Sprintf(condition, "ResolvedRefs", "reason")); want == "False" && reason != "BackendNotFound" {
			t.Errorf("the route to a Service that does not exist has the reason %q", reason)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
}

const sharingServer = `apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: NAME}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: files
    image: REGISTRY/files:1
    args: [/etc]
    readinessProbe: {httpGet: {path: /hostname, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: 8080}]
---
`

const sharedRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shared}
spec:
  parentRefs: [{namespace: gateways, name: public}]
  hostnames: [shared.example.com]
  rules:
  - backendRefs:
    - {name: stable, port: 80, weight: STABLE}
    - {name: canary, port: 80, weight: CANARY}
`

// shareRequests has two servers answer one host by the weights of its route. They run the image that servePod has
// pushed.
func shareRequests(t *testing.T, c *Cluster) {
	t.Helper()
	servers := strings.ReplaceAll(sharingServer, "NAME", "stable") + strings.ReplaceAll(sharingServer, "NAME", "canary")
	apply(t, c, strings.ReplaceAll(servers, "REGISTRY", c.Registry))
	kubectl(t, c, "wait", "pod/stable", "pod/canary", "--for=condition=Ready", "--timeout=300s")
	for _, weights := range []struct{ stable, canary int }{{50, 50}, {90, 10}, {0, 100}} {
		apply(t, c, strings.NewReplacer("STABLE", fmt.Sprint(weights.stable), "CANARY", fmt.Sprint(weights.canary)).Replace(sharedRoute))
		began := time.Now()
		for { // Traefik takes turns, so that in twenty requests the share shows
			got := count(t, c, 20)
			if got["stable"]+got["canary"] == 20 && near(got["canary"], 20*weights.canary/100, 2) {
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatalf("weights %+v are not in effect after 10s: got %v of 20 requests", weights, got)
			}
			_ = pause(t.Context())
		}
		t.Logf("weights %+v are in effect after %v", weights, time.Since(began))
		if got := count(t, c, 400); got["stable"]+got["canary"] != 400 || !near(got["canary"], 400*weights.canary/100, 20) {
			t.Errorf("weights %+v: got %v of 400 requests", weights, got)
		}
	}
}

func near(got, want, by int) bool { return got >= want-by && got <= want+by }

// count sends n requests and returns how many each pod answered, by the pod's name, or by the code of a failure.
func count(t *testing.T, c *Cluster, n int) map[string]int {
	t.Helper()
	answered := map[string]int{}
	for range n {
		code, body := ask(t, c, "shared.example.com", "/hostname")
		if code != http.StatusOK {
			body = http.StatusText(code)
		}
		answered[strings.TrimSpace(body)]++
	}
	return answered
}

// ask sends a request for the host through the gateway.
func ask(t *testing.T, c *Cluster, host, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Gateway+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func apply(t *testing.T, c *Cluster, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "apply", "-f", file)
}
