package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Requests counts the requests that a transport sends to an API server; rest.Config.Wrap takes it.
func (m *Metrics) Requests(next http.RoundTripper) http.RoundTripper {
	if m == nil {
		return next
	}
	return &counted{next, m}
}

type counted struct {
	next http.RoundTripper
	m    *Metrics
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	answer, err := c.next.RoundTrip(r)
	verb, resource := operation(r)
	code := "error"
	if err == nil {
		code = strconv.Itoa(answer.StatusCode)
	}
	c.m.apiRequests.WithLabelValues(verb, resource, code).Inc()
	c.m.apiSeconds.WithLabelValues(verb, resource).Observe(time.Since(began).Seconds())
	return answer, err
}

// WrappedRoundTripper lets client-go find the transport below, to cancel requests and close connections.
func (c *counted) WrappedRoundTripper() http.RoundTripper { return c.next }

// operation is a request's verb as in RBAC, and its resource, as "deployments.apps" and "pods/log"; no name is in it. See
// https://kubernetes.io/docs/reference/using-api/api-concepts for the paths.
func operation(r *http.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	at := slices.IndexFunc(parts, func(p string) bool { return p == "api" || p == "apis" }) // below it may be a proxy's path
	if at < 0 {
		return verbOf(r, true), "other"
	}
	group, kind := "", parts[at]
	parts = parts[at+1:]
	if kind == "apis" && len(parts) > 0 {
		group, parts = "."+parts[0], parts[1:]
	}
	if len(parts) < 2 { // no more than a version
		return "get", "discovery"
	}
	parts = parts[1:]
	if len(parts) > 2 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	resource = parts[0] + group
	if len(parts) > 2 {
		resource = parts[0] + group + "/" + parts[2]
	}
	return verbOf(r, len(parts) > 1), resource
}

func verbOf(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
			return "watch"
		case named:
			return "get"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch") {
			return "apply"
		}
		return "patch"
	case http.MethodDelete:
		if named {
			return "delete"
		}
		return "deletecollection"
	}
	return "other"
}

// Deliveries counts the webhooks that a handler answers.
func (r *Recorder) Deliveries(next http.Handler) http.Handler {
	if r == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s := &status{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(s, req)
		switch {
		case s.code < http.StatusBadRequest:
			r.Delivered("accepted")
		case s.code == http.StatusUnauthorized:
			r.Delivered("refused")
		default:
			r.Delivered("invalid")
		}
	})
}

// status remembers the code that was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
