package main

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans by OTLP over HTTP, as an OpenTelemetry collector does.
type collector struct {
	url string

	mu       sync.Mutex
	received []*otlp.Span
	services map[string]bool
}

func newCollector(t *testing.T) *collector {
	c := &collector{services: map[string]bool{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := decode(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range request.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				c.services[a.Value.GetStringValue()] = true
			}
		}
		for _, ss := range rs.ScopeSpans {
			c.received = append(c.received, ss.Spans...)
		}
	}
	answer, _ := proto.Marshal(&collectortrace.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

// text is all that came.
func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.received)
}

func decode(r *http.Request) (*collectortrace.ExportTraceServiceRequest, error) {
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s", r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request := &collectortrace.ExportTraceServiceRequest{}
	return request, proto.Unmarshal(data, request)
}

// of are the spans of a commit's trace, by their beginning.
func (c *collector) of(commit string) (out []*otlp.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.received {
		if hex.EncodeToString(s.TraceId) == commit[:32] {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b *otlp.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	return out
}

// ended are the spans of a name in a commit's trace that ended with an outcome.
func (c *collector) ended(commit, name, release, outcome string) (out []*otlp.Span) {
	for _, s := range c.of(commit) {
		if s.Name == name && fact(s, "davit.environment")+"/"+fact(s, "davit.release") == release && fact(s, "davit.outcome") == outcome {
			out = append(out, s)
		}
	}
	return out
}

// stages are the names of a span's children, in the order they began.
func (c *collector) stages(commit string, parent *otlp.Span) string {
	var names []string
	for _, s := range c.of(commit) {
		if string(s.ParentSpanId) == string(parent.SpanId) {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " ")
}

func fact(s *otlp.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if b, ok := a.Value.Value.(*common.AnyValue_BoolValue); ok {
				return fmt.Sprint(b.BoolValue)
			}
			return a.Value.GetStringValue()
		}
	}
	return ""
}
