package monitor_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/monitor/promtest"
	"github.com/davit-dev/davit/registry"
)

// catalogMeasures reads what the runtimes of davit's catalog call their metrics.
func catalogMeasures(t *testing.T) map[string]registry.Measures {
	t.Helper()
	const catalog = "../../render/catalog/runtimes"
	dirs, err := os.ReadDir(catalog)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]registry.Measures{}
	for _, dir := range dirs {
		data, err := fs.ReadFile(os.DirFS(catalog), dir.Name()+"/runtime.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Spec struct {
				Metrics registry.MetricsEndpoint `yaml:"metrics"`
			} `yaml:"spec"`
		}
		if err := yaml.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		out[dir.Name()] = file.Spec.Metrics.Measures
	}
	return out
}

func parse(t *testing.T, texts ...string) (out []registry.MetricCheck) {
	t.Helper()
	for _, text := range texts {
		c, err := registry.ParseCheck(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func open(t *testing.T, cfg monitor.Config) *monitor.Prometheus {
	t.Helper()
	p, err := monitor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var everything = []string{"p95(ttft) < 1s", "p50(latency) < 1s", "avg(latency) < 1s", "avg(ttft) < 1s", "errors < 1%", "tokens > 1/s", "requests > 1/s"}

// TestCatalogIsAsked: a real Prometheus takes every query that is made of the catalog's runtimes, and of a registry that
// means ill, whose words stay values.
func TestCatalogIsAsked(t *testing.T) {
	server := promtest.Start(t, &promtest.Models{Pods: func() []promtest.Pod { return nil }})
	all := catalogMeasures(t)
	if len(all["vllm"].Requests) == 0 || all["triton"].Latency == nil {
		t.Fatalf("the catalog has %v", all)
	}
	evil := `x"} or vector(1) #` + "\\\n\u2028"
	all["evil"] = registry.Measures{
		Requests: []registry.Counter{{Counter: "requests_total", Where: map[string]string{"a": evil}}},
		Latency:  &registry.Timing{Histogram: "latency", Where: map[string]string{"a": evil}},
	}
	p := open(t, monitor.Config{URL: server.URL, Labels: map[string]string{"cluster": evil}})
	for name, measures := range all {
		groups, err := p.Namespace(t.Context(), "production", time.Minute, measures)
		if err != nil || len(groups) > 0 {
			t.Errorf("%s: %v, %v", name, groups, err)
		}
		answer, err := p.Pods(t.Context(), "production", []string{"iris-1", "iris.2", evil}, time.Minute, measures, parse(t, everything...))
		if err != nil || !math.IsNaN(answer.Requests) {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
		for i, value := range answer.Values {
			if !math.IsNaN(value) {
				t.Errorf("%s: %s of no pods is %v", name, everything[i], value)
			}
		}
	}
}

// TestNumbers: of each release's pods, and of no others.
func TestNumbers(t *testing.T) {
	fast := promtest.Behaviour{Requests: 10, TTFT: 80 * time.Millisecond, Latency: 400 * time.Millisecond, Tokens: 1000}
	slow := promtest.Behaviour{Requests: 30, Errors: 10, TTFT: 2 * time.Second, Latency: 4 * time.Second, Tokens: 300}
	pods := []promtest.Pod{
		{Namespace: "a", Name: "iris-1-x"}, {Namespace: "a", Name: "iris-1-y"}, {Namespace: "a", Name: "iris-2-x"}, {Namespace: "b", Name: "iris-1-x"},
	}
	server := promtest.Start(t, &promtest.Models{
		Pods: func() []promtest.Pod { return pods },
		Behaves: func(p promtest.Pod) promtest.Behaviour {
			if p.Namespace == "a" && strings.HasPrefix(p.Name, "iris-1-") {
				return fast
			}
			return slow
		},
	})
	p, vllm := open(t, monitor.Config{URL: server.URL}), catalogMeasures(t)["vllm"]
	var groups map[string]monitor.Numbers
	var exact monitor.Answer
	until(t, func() (err error) {
		if groups, err = p.Namespace(t.Context(), "a", 30*time.Second, vllm); err != nil {
			return err
		}
		if exact, err = p.Pods(t.Context(), "a", []string{"iris-2-x"}, 30*time.Second, vllm, parse(t, everything...)); err != nil {
			return err
		}
		if len(groups) != 2 || !(groups["iris-1"].Requests > 50) || !(groups["iris-2"].Errors > 20) || !(exact.Requests > 100) {
			return errors.New("too few samples yet")
		}
		// Each number is asked for by itself, so a pause between two of them puts them apart.
		if n := groups["iris-1"]; n.TTFT < 0.05 || n.TTFT > 0.1 || n.Latency < 0.25 || n.Latency > 0.5 || n.Errors != 0 || !near(n.Tokens, 100*n.Requests) {
			return fmt.Errorf("iris-1 %+v", n)
		}
		if n := groups["iris-2"]; n.TTFT < 1 || n.TTFT > 2.5 || !near(n.Errors, n.Requests/4) {
			return fmt.Errorf("iris-2 %+v", n)
		}
		want := []float64{2, 4, 4, 2, 0.25, 10 * exact.Requests / 40, exact.Requests / 30}
		for i, value := range exact.Values {
			if !(value > 0.5*want[i] && value < 1.5*want[i]) {
				return fmt.Errorf("%s: %v, want about %v", everything[i], value, want[i])
			}
		}
		return nil
	})
	elsewhere := open(t, monitor.Config{URL: server.URL, Labels: map[string]string{"cluster": "other"}})
	if groups, err := elsewhere.Namespace(t.Context(), "a", 30*time.Second, vllm); err != nil || len(groups) > 0 {
		t.Errorf("of another cluster: %v, %v", groups, err)
	}
}

// near says that two sums of a few scrapes are the same: one of them may lack the last scrape.
func near(a, b float64) bool { return math.Abs(a-b) < 0.2*math.Max(a, b) }

func until(t *testing.T, ok func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestCredentials: each kind reaches the server, a change is heeded, and a redirect gets none of them.
func TestCredentials(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	var want string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case want == "redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case r.Header.Get("Authorization") != want:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
		}
	}))
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	var secret map[string]string
	p := open(t, monitor.Config{URL: server.URL, Credentials: func(context.Context) (map[string]string, error) { return secret, nil }})
	ask := func() error {
		_, err := p.Namespace(t.Context(), "a", time.Minute, registry.Measures{Requests: []registry.Counter{{Counter: "requests_total"}}})
		return err
	}
	for _, c := range []struct {
		secret     map[string]string
		want, fail string
	}{
		{map[string]string{"ca.crt": ca}, "", ""},
		{map[string]string{"ca.crt": ca, "bearerToken": "t1"}, "Bearer t1", ""},
		{map[string]string{"ca.crt": ca, "username": "ada", "password": "pw"}, "Basic YWRhOnB3", ""},
		{map[string]string{"ca.crt": ca, "bearerToken": "t1"}, "Bearer t2", "401"},
		{map[string]string{"ca.crt": ca, "bearerToken": "t1"}, "redirect", "redirects elsewhere"},
		{map[string]string{"bearerToken": "t1"}, "Bearer t1", "certificate"},
		{map[string]string{"ca.crt": "none"}, "", "no certificate"},
		{map[string]string{"username": "ada", "bearerToken": "t1"}, "", "remove one"},
	} {
		secret, want = c.secret, c.want
		err := ask()
		if c.fail == "" && err != nil || c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("with %v: %v, want %q", c.want, err, c.fail)
		}
		if err != nil && strings.Contains(err.Error(), "t1") {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []monitor.Config{
		{}, {URL: "prometheus:9090"}, {URL: "file:///etc"}, {URL: "http://ada:pw@prometheus"}, {URL: "http://a\n"},
		{URL: "http://prometheus", Labels: map[string]string{"namespace": "kube-system"}},
		{URL: "http://prometheus", Labels: map[string]string{`a="b",c`: "d"}},
	} {
		if _, err := monitor.New(cfg); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
