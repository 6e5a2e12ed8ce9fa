package registry

import (
	"regexp"
	"slices"
	"strconv"
)

// The measures of a server that davit knows.
const (
	MeasureRequests = "requests"
	MeasureErrors   = "errors"
	MeasureLatency  = "latency"
	MeasureTTFT     = "ttft"
	MeasureTokens   = "tokens"
)

var measures = []string{MeasureRequests, MeasureErrors, MeasureLatency, MeasureTTFT, MeasureTokens}

// Measures name a server's own Prometheus metrics. davit makes the queries from them; what is not named is not known of
// the runtime. Requests is never empty where anything else is set.
type Measures struct {
	// Requests are counters whose sum is the requests that ended, those that failed included.
	Requests []Counter `yaml:"requests"`
	// Errors are counters whose sum is those of them that failed by the server's fault.
	Errors []Counter `yaml:"errors"`
	// Latency is how long a whole answer took, TTFT how long its first token.
	Latency *Timing `yaml:"latency"`
	TTFT    *Timing `yaml:"ttft"`
	// Tokens are counters whose sum is the generated tokens.
	Tokens []Counter `yaml:"tokens"`
}

// Counter is the time series of a counter that have some values of labels.
type Counter struct {
	// Counter is the metric's whole name, "vllm:request_success_total".
	Counter string `yaml:"counter"`
	// Where are labels with the values they must have.
	Where map[string]string `yaml:"where"`
}

// Timing is a metric of durations. One of Histogram and Total is set.
type Timing struct {
	// Histogram is the name without _bucket, _sum and _count.
	Histogram string `yaml:"histogram"`
	// Total is a counter of all the time that requests took; it tells an average and no percentiles.
	Total string `yaml:"total"`
	// Unit of its values: s (the zero value's meaning), ms or us.
	Unit string `yaml:"unit"`
	// Where are labels with the values they must have.
	Where map[string]string `yaml:"where"`
}

// Seconds is how many seconds one unit is.
func (t Timing) Seconds() float64 {
	switch t.Unit {
	case "ms":
		return 1e-3
	case "us":
		return 1e-6
	}
	return 1
}

// Timing is the one of a measure, nil when the runtime doesn't tell it or it is no duration.
func (m Measures) Timing(measure string) *Timing {
	switch measure {
	case MeasureLatency:
		return m.Latency
	case MeasureTTFT:
		return m.TTFT
	}
	return nil
}

// Tells says whether a measure is known of the runtime at all.
func (m Measures) Tells(measure string) bool {
	switch measure {
	case MeasureRequests:
		return len(m.Requests) > 0
	case MeasureErrors:
		return len(m.Errors) > 0
	case MeasureTokens:
		return len(m.Tokens) > 0
	}
	return m.Timing(measure) != nil
}

// told lists the measures that the runtime tells.
func (m Measures) told() (out []string) {
	for _, measure := range measures {
		if m.Tells(measure) {
			out = append(out, measure)
		}
	}
	return out
}

// Names of Prometheus' data model; they go into queries as they are.
var (
	metricName  = nameRule{regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`), 200, "the name of a Prometheus metric (letters, digits, '_' and ':')"}
	metricLabel = nameRule{regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`), 100, "the name of a Prometheus label (letters, digits and '_')"}
)

// ownLabels select the release's pods in every query.
var ownLabels = []string{"namespace", "pod", "__name__"}

func checkMeasures(f *faultsOf, m Measures) {
	for _, list := range []struct {
		name     string
		counters []Counter
	}{{MeasureRequests, m.Requests}, {MeasureErrors, m.Errors}, {MeasureTokens, m.Tokens}} {
		for i, c := range list.counters {
			field := []string{"metrics", list.name, strconv.Itoa(i)}
			if !metricName.ok(c.Counter) {
				f.add(field, "counter %q is not %s", c.Counter, metricName.text)
			}
			checkWhere(f, field, c.Where)
		}
	}
	for _, measure := range []string{MeasureLatency, MeasureTTFT} {
		if t := m.Timing(measure); t != nil {
			checkTiming(f, []string{"metrics", measure}, t)
		}
	}
	if told := m.told(); len(told) > 0 && len(m.Requests) == 0 {
		f.add([]string{"metrics", told[0]}, "metrics.requests is missing; name the counters of the requests that ended: samples are counted by them")
	}
}

func checkTiming(f *faultsOf, field []string, t *Timing) {
	if (t.Histogram == "") == (t.Total == "") {
		f.add(field, "%s needs one of histogram and total", field[1])
	} else if name := t.Histogram + t.Total; !metricName.ok(name) {
		f.add(field, "%q is not %s", name, metricName.text)
	}
	if units := []string{"s", "ms", "us"}; t.Unit != "" && !slices.Contains(units, t.Unit) {
		f.add(append(field[:2:2], "unit"), "unit %q is not known%s", t.Unit, nearest(t.Unit, units))
	}
	checkWhere(f, field, t.Where)
}

func checkWhere(f *faultsOf, field []string, where map[string]string) {
	for _, name := range sortedKeys(where) {
		at := append(slices.Clone(field), "where")
		switch {
		case !metricLabel.ok(name):
			f.add(at, "%q is not %s", name, metricLabel.text)
		case slices.Contains(ownLabels, name):
			f.add(at, "label %s is davit's to choose; remove it", name)
		}
	}
}
