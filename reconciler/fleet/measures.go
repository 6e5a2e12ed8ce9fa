package fleet

import (
	"strconv"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// measures are the serving metrics that are told.
func measures(m *v1alpha1.ServingMetrics) (all []Measure) {
	for _, one := range []struct{ name, text string }{
		{"requests/s", m.Requests}, {"errors", percent(m.Errors)}, {"p95 latency", seconds(m.Latency)}, {"p95 first token", seconds(m.TTFT)},
		{"tokens/s", m.Tokens}, {"", m.Message},
	} {
		if one.text != "" {
			all = append(all, Measure{one.name, plain(one.text)})
		}
	}
	return all
}

func percent(share string) string {
	if v, err := strconv.ParseFloat(share, 64); err == nil {
		return strconv.FormatFloat(v*100, 'g', 3, 64) + " %"
	}
	return share
}

// seconds writes decimal seconds as people do.
func seconds(text string) string {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "" || err != nil:
		return text
	case v < 1:
		return strconv.FormatFloat(v*1000, 'g', 3, 64) + " ms"
	}
	return text + " s"
}
