// Package promtest starts a real Prometheus for tests, which scrapes pods that a stand-in for a GPU server speaks for:
// simulated pods answer nothing.
package promtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// Pod is one that is scraped.
type Pod struct{ Namespace, Name string }

// Behaviour is what a pod serves between two scrapes.
type Behaviour struct {
	Requests, Errors int
	// TTFT and Latency are those of every request.
	TTFT, Latency time.Duration
	Tokens        int
}

// Models stand in for GPU servers: they tell metrics as vLLM does.
type Models struct {
	// Pods are those there are now, and Behaves how one of them does. Both are called concurrently.
	Pods    func() []Pod
	Behaves func(Pod) Behaviour

	server *httptest.Server
	mu     sync.Mutex
	served map[Pod]*served
}

// served is what a pod's counters say.
type served struct {
	requests, errors, tokens int
	ttft, latency            histogram
}

type histogram struct {
	buckets []int
	count   int
	sum     float64
}

// bounds are some of vLLM's, in seconds.
var bounds = []float64{0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10}

func (h *histogram) observe(d time.Duration, n int) {
	if h.buckets == nil {
		h.buckets = make([]int, len(bounds))
	}
	for i, bound := range bounds {
		if d.Seconds() <= bound {
			h.buckets[i] += n
		}
	}
	h.count, h.sum = h.count+n, h.sum+float64(n)*d.Seconds()
}

func (h *histogram) write(b *strings.Builder, name string) {
	fmt.Fprintf(b, "# TYPE %s histogram\n", name)
	for i, n := range h.buckets {
		fmt.Fprintf(b, "%s_bucket{le=\"%g\"} %d\n", name, bounds[i], n)
	}
	fmt.Fprintf(b, "%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n", name, h.count, name, h.sum, name, h.count)
}

// ServeHTTP answers Prometheus: /targets tells which pods there are, any other path is a pod's metrics.
func (m *Models) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/targets" {
		m.targets(w)
		return
	}
	namespace, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	fmt.Fprint(w, m.scrape(Pod{Namespace: namespace, Name: name}))
}

func (m *Models) targets(w http.ResponseWriter) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, p := range m.Pods() {
		groups = append(groups, group{[]string{m.server.Listener.Addr().String()}, map[string]string{
			"__metrics_path__": "/" + p.Namespace + "/" + p.Name, "namespace": p.Namespace, "pod": p.Name,
		}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(groups) // who asked may be gone
}

func (m *Models) scrape(p Pod) string {
	b := m.Behaves(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.served[p]
	if s == nil {
		s = &served{}
		m.served[p] = s
	} else { // the first scrape shows zeros, as that of a server that just started
		s.requests, s.errors, s.tokens = s.requests+b.Requests, s.errors+b.Errors, s.tokens+b.Tokens
		s.ttft.observe(b.TTFT, b.Requests)
		s.latency.observe(b.Latency, b.Requests)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# TYPE vllm:request_success_total counter\nvllm:request_success_total{finished_reason=\"stop\"} %d\n", s.requests)
	fmt.Fprintf(&out, "# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total %d\n", s.tokens)
	if s.errors > 0 {
		fmt.Fprintf(&out, "# TYPE http_requests_total counter\nhttp_requests_total{status=\"5xx\"} %d\n", s.errors)
	}
	s.ttft.write(&out, "vllm:time_to_first_token_seconds")
	s.latency.write(&out, "vllm:e2e_request_latency_seconds")
	return out.String()
}

// Server is a running Prometheus.
type Server struct {
	URL  string
	stop func()
}

// Stop ends it, as does the test's end.
func (s *Server) Stop() { s.stop() }

// Start has m's pods scraped every second until the test ends. The test is skipped where there is no Prometheus, unless
// CI is set.
func Start(t testing.TB, m *Models) *Server {
	t.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("no prometheus on PATH; make deps installs it")
	} else if err != nil {
		t.Fatal(err)
	}
	m.served = map[Pod]*served{}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	dir, address := t.TempDir(), free(t)
	config := filepath.Join(dir, "prometheus.yaml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: models\n  http_sd_configs: [{url: %q, refresh_interval: 1s}]\n", m.server.URL+"/targets")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "http://" + address, stop: sync.OnceFunc(func() { cancel(); _ = cmd.Wait() })} // it was killed
	t.Cleanup(s.stop)
	ready(t, s.URL+"/-/ready")
	return s
}

// free is an address that nobody listens at.
func free(t testing.TB) string {
	address, err := devcluster.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func ready(t testing.TB, url string) {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}
