package controller

import (
	"net/http"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct{ method, url, contentType, verb, resource, name string }{
		{"PATCH", "/api/v1/namespaces/production/services/r00001?force=true", "application/apply-patch+yaml", "apply", "services", "r00001"},
		{"PATCH", "/apis/apps/v1/namespaces/production/deployments/r00001", "application/merge-patch+json", "patch", "deployments", "r00001"},
		{"PUT", "/apis/davit.dev/v1alpha1/namespaces/production/modelreleases/production.r1/status", "", "update", "modelreleases/status", "production.r1"},
		{"POST", "/apis/events.k8s.io/v1/namespaces/production/events", "", "create", "events", ""},
		{"GET", "/api/v1/namespaces/production", "", "get", "namespaces", "production"},
		{"GET", "/api/v1/pods?watch=true", "", "watch", "pods", ""},
		{"GET", "/apis/davit.dev/v1alpha1/modelreleases?limit=500", "", "list", "modelreleases", ""},
		{"GET", "/apis/apps/v1", "", "get", "discovery", ""},
		{"GET", "/api", "", "get", "discovery", ""},
	} {
		request, err := http.NewRequest(c.method, "https://127.0.0.1"+c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", c.contentType)
		if verb, resource, name := classify(request); verb != c.verb || resource != c.resource || name != c.name {
			t.Errorf("%s %s is %s %s %q, want %s %s %q", c.method, c.url, verb, resource, name, c.verb, c.resource, c.name)
		}
	}
}
