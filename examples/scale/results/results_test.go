package results_test

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/examples/scale/results"
)

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i))
	}
	for _, c := range []struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{all, 50, 50}, {all, 99, 99}, {all, 100, 100}, {all, 0, 1},
		{[]time.Duration{3, 1, 2}, 50, 2}, {[]time.Duration{3, 1, 2}, 99, 3}, {nil, 50, 0},
	} {
		if got := results.Percentile(c.of, c.p); got != c.want {
			t.Errorf("p%v of %d durations is %d, want %d", c.p, len(c.of), got, c.want)
		}
	}
}

func TestOutputs(t *testing.T) {
	full := results.Results{
		Machine: results.Machine{CPU: "a <fast> & small CPU", Cores: 2},
		Rows: []results.Row{
			{Releases: 10000, What: "restart", Target: "< 10 s", Measured: "12 s", Held: results.Held(false)},
			{Releases: 100, What: "first sync", Measured: "3 s"},
		},
		Rates:      []results.Rate{{Name: "davit, first sync", Releases: 1000, PerSec: 400}, {Name: "plain writes", Releases: 1000, PerSec: 600}},
		Promotions: []results.Latency{{Releases: 100, P50: 40, P99: 90}},
	}
	for _, want := range []string{"| 10,000 | restart | < 10 s | 12 s | **no** |\n", "| 100 | first sync |  | 3 s |  |\n"} {
		if text := full.Markdown(); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for name, r := range map[string]results.Results{"full": full, "empty": {}} {
		for d := xml.NewDecoder(strings.NewReader(r.SVG())); ; {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: the SVG is no XML: %v", name, err)
			}
		}
		if strings.Contains(r.SVG(), "NaN") || strings.Contains(r.SVG(), "Inf") {
			t.Errorf("%s: a figure of the SVG is no number", name)
		}
	}
}
