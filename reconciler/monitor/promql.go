package monitor

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// groupLabel is the pods' name less its last part: the name of the ReplicaSet or StatefulSet. Sums by it come in one
// sample for each of them, not for each pod, and a percentile is one of all its pods.
const groupLabel = "davit_pods"

// Group is what the pods of one ReplicaSet or StatefulSet have in common in their names.
func Group(pod string) string {
	if i := strings.LastIndexByte(pod, '-'); i > 0 {
		return pod[:i]
	}
	return pod
}

// scope is whose series a query is about, and in which window of time.
type scope struct {
	labels    map[string]string // the grant's own
	namespace string
	pods      []string // every pod of the namespace, by group, when nil
	window    time.Duration
}

// increase is by how much counters grew in the window.
func (s scope) increase(name string, where map[string]string) string {
	return s.sum("", "increase("+s.series(name, where)+")")
}

// quantile is one of a histogram.
func (s scope) quantile(q float64, t registry.Timing) string {
	return "histogram_quantile(" + strconv.FormatFloat(q, 'f', -1, 64) + ", " + s.sum("le", "rate("+s.series(t.Histogram+"_bucket", t.Where)+")") + ")"
}

func (s scope) sum(by, vector string) string {
	if s.pods == nil {
		by = strings.TrimPrefix(by+", "+groupLabel, ", ")
		vector = "label_replace(" + vector + `, "` + groupLabel + `", "$1", "pod", "(.+)-[^-]+")`
	}
	if by != "" {
		return "sum by (" + by + ") (" + vector + ")"
	}
	return "sum(" + vector + ")"
}

// series is a range selector. Names are the registry's, which checked that they are some; every value is quoted. The
// scope's own labels come last and exclude what a file could say of them.
func (s scope) series(name string, where map[string]string) string {
	var b strings.Builder
	b.WriteString(name + "{")
	matcher := func(label, op, value string) { b.WriteString(label + op + strconv.Quote(value) + ", ") }
	for _, label := range slices.Sorted(maps.Keys(where)) {
		matcher(label, "=", where[label])
	}
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		matcher(label, "=", s.labels[label])
	}
	matcher("namespace", "=", s.namespace)
	if s.pods != nil {
		matcher("pod", "=~", alternatives(s.pods))
	}
	return strings.TrimSuffix(b.String(), ", ") + "}[" + strconv.Itoa(int(max(s.window, time.Second)/time.Second)) + "s]"
}

// alternatives is a pattern, which Prometheus anchors, of exactly these names.
func alternatives(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range slices.Sorted(slices.Values(names)) {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return strings.Join(quoted, "|")
}
