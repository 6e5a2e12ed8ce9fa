package registry_test

import (
	"math"
	"testing"

	"github.com/davit-dev/davit/registry"
)

func TestMetricCheckHolds(t *testing.T) {
	for _, c := range []struct {
		check         string
		value, stable float64
		holds         bool
		what, written string
	}{
		{"p95(ttft) < 800ms", 0.799, 0, true, "p95(ttft)", "799ms"},
		{"p95(ttft) < 800ms", 0.8, 0, false, "p95(ttft)", "800ms"},
		{"p95(ttft) <= 800ms", 0.8, 0, true, "p95(ttft)", "800ms"},
		{"p99( latency )<2s", 2.514, 0, false, "p99(latency)", "2.51s"},
		{"avg(latency) < 1.5 * stable", 1.4, 1, true, "avg(latency)", "1.4s"},
		{"avg(latency) < 1.5*stable", 1.6, 1, false, "avg(latency)", "1.6s"},
		{"errors < 1%", 0.0123, 0, false, "errors", "1.23%"},
		{"errors <= 0%", 0, 0, true, "errors", "0%"},
		{"tokens > 50/s", 1234.56, 0, true, "tokens", "1234.6/s"},
		{"requests >= 0.5/s", 0.25, 0, false, "requests", "0.3/s"},
		{"p95(ttft) < 800ms", math.NaN(), 0, false, "p95(ttft)", "unknown"},
		{"tokens > 50/s", math.NaN(), 0, false, "tokens", "unknown"},
	} {
		check, err := registry.ParseCheck(c.check)
		if err != nil {
			t.Fatal(err)
		}
		if got := check.Holds(c.value, c.stable); got != c.holds {
			t.Errorf("%s of %v (stable %v) holds: %v", c.check, c.value, c.stable, got)
		}
		if check.What() != c.what || check.Format(c.value) != c.written {
			t.Errorf("%s of %v reads %s %s", c.check, c.value, check.What(), check.Format(c.value))
		}
	}
}

func FuzzParseCheck(f *testing.F) {
	for _, text := range []string{"p95(ttft) < 800ms", "errors <= 1%", "tokens > 50/s", "avg(latency) < 1.2 * stable", "p99(latency)>=1h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := registry.ParseCheck(text)
		if err != nil {
			return
		}
		if math.IsNaN(c.Bound) || math.IsInf(c.Bound, 0) || c.Bound < 0 || c.Quantile < 0 || c.Quantile >= 1 || c.Holds(math.NaN(), 1) {
			t.Errorf("%q gives %+v", text, c)
		}
	})
}
