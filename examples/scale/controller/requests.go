package controller

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
)

// requests counts what goes to the API server and remembers when each release's last object was applied.
type requests struct {
	mu      sync.Mutex
	count   map[string]int
	applied map[string]time.Time
}

func newRequests() *requests {
	return &requests{count: map[string]int{}, applied: map[string]time.Time{}}
}

func (r *requests) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.count)
}

func (r *requests) lastApply(release string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied[release]
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper { return &counter{r, next} }

// counter is a transport.
type counter struct {
	requests *requests
	next     http.RoundTripper
}

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	verb, resource, name := classify(request)
	c.requests.mu.Lock()
	defer c.requests.mu.Unlock()
	c.requests.count[verb+" "+resource]++
	if verb == "apply" && err == nil {
		c.requests.applied[generate.ReleaseOf(name)] = time.Now()
	}
	return response, err
}

// classify names a request as Kubernetes does: its verb, its resource with the subresource, its object.
func classify(request *http.Request) (verb, resource, name string) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "get", "discovery", ""
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	resource = parts[0]
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return verbOf(request, name), resource, name
}

func verbOf(request *http.Request, name string) string {
	switch request.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodDelete:
		return "delete"
	case http.MethodPatch:
		if strings.Contains(request.Header.Get("Content-Type"), "apply") {
			return "apply"
		}
		return "patch"
	}
	switch query := request.URL.Query(); {
	case query.Get("watch") != "":
		return "watch"
	case name == "":
		return "list"
	}
	return "get"
}

// Writes and Reads are the sums over a count of requests.
func Writes(count map[string]int) int { return sum(count, true) }

// Reads is every request that is no write: get, list, watch and discovery.
func Reads(count map[string]int) int { return sum(count, false) }

func sum(count map[string]int, writes bool) (n int) {
	for key, times := range count {
		verb, _, _ := strings.Cut(key, " ")
		reads := verb == "get" || verb == "list" || verb == "watch"
		if reads != writes {
			n += times
		}
	}
	return n
}
