package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// served tells of the serving metrics, where there are some.
func (p *page) served(m *v1alpha1.ServingMetrics) {
	if m == nil {
		return
	}
	var parts []string
	add := func(value, text string) {
		if value != "" {
			parts = append(parts, text)
		}
	}
	add(m.Requests, m.Requests+" requests/s")
	add(m.Errors, scaled(m.Errors, 100)+"% errors")
	add(m.Latency, "p95 latency "+seconds(m.Latency))
	add(m.TTFT, "p95 first token "+seconds(m.TTFT))
	add(m.Tokens, m.Tokens+" tokens/s")
	add(m.Message, m.Message)
	p.row("metrics", strings.Join(parts, ", ")+" (the "+strings.TrimSuffix(m.Window.Duration.String(), "0s")+" to "+m.At.Local().Format(time.TimeOnly)+")")
}

// seconds writes decimal seconds as people do.
func seconds(text string) string {
	if v, err := strconv.ParseFloat(text, 64); err == nil && v < 1 {
		return scaled(text, 1000) + "ms"
	}
	return text + "s"
}

// scaled is a decimal number times another, with three digits.
func scaled(text string, by float64) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(v*by, 'g', 3, 64)
}
