package registry

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultMinSamples is how many requests checks want to see when a rollout does not say it.
const DefaultMinSamples = 100

// MetricCheck is one of a rollout's checks: what a measure of the new revision's pods must be.
type MetricCheck struct {
	// Text is the check as it was written.
	Text    string
	Measure string
	// Quantile of a duration, 0.95; its average when zero.
	Quantile float64
	// Above says that the value must be more than the bound; it must be less otherwise. Equal says that it may be the same.
	Above, Equal bool
	// Bound is in seconds, requests or tokens per second, or a share from 0 to 1; times the stable revision's value where
	// Stable is set.
	Bound  float64
	Stable bool
}

// Holds says whether a value passes; stable is that of the revision that serves, where the check wants it. What is not
// a number passes nothing.
func (c MetricCheck) Holds(value, stable float64) bool {
	bound := c.Bound
	if c.Stable {
		bound *= stable
	}
	return c.Above && value > bound || !c.Above && value < bound || c.Equal && value == bound
}

// What is what the check measures: "p95(ttft)".
func (c MetricCheck) What() string {
	switch {
	case c.Measure != MeasureLatency && c.Measure != MeasureTTFT:
		return c.Measure
	case c.Quantile == 0:
		return "avg(" + c.Measure + ")"
	}
	return fmt.Sprintf("p%.0f(%s)", 100*c.Quantile, c.Measure)
}

// Format writes a value as the check's file would.
func (c MetricCheck) Format(value float64) string {
	round := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	switch {
	case math.IsNaN(value):
		return "unknown"
	case c.Measure == MeasureErrors:
		return round(100*value) + "%"
	case c.Measure == MeasureRequests, c.Measure == MeasureTokens:
		return strconv.FormatFloat(math.Round(10*value)/10, 'f', -1, 64) + "/s"
	case value < 1:
		return round(1000*value) + "ms"
	}
	return round(value) + "s"
}

var (
	checkForm  = regexp.MustCompile(`^(?:(p[0-9]{1,2}|avg)\(\s*([a-z]+)\s*\)|([a-z]+))\s*(<=|>=|<|>)\s*(\S.*)$`)
	stableForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*\*\s*stable$`)
	numberForm = regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)?$`)
)

// ParseCheck reads "p95(ttft) < 800ms", "avg(latency) < 1.5 * stable", "errors <= 1%" or "tokens > 50/s". Its error ends
// with what to write.
func ParseCheck(text string) (MetricCheck, error) {
	m := checkForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return MetricCheck{}, fmt.Errorf("check %q can't be read; write one such as p95(ttft) < 800ms, errors < 1%% or tokens > 50/s", text)
	}
	function, measure, op, bound := m[1], m[2]+m[3], m[4], m[5]
	c := MetricCheck{Text: strings.TrimSpace(text), Measure: measure, Above: op[0] == '>', Equal: len(op) == 2}
	if !slices.Contains(measures, measure) {
		return c, fmt.Errorf("check %q: measure %q is not known%s", text, measure, nearest(measure, measures))
	}
	switch duration := measure == MeasureLatency || measure == MeasureTTFT; {
	case duration && function == "":
		return c, fmt.Errorf("check %q: of %s there is one for each request; write p95(%s), or avg(%s)", text, measure, measure, measure)
	case !duration && function != "":
		return c, fmt.Errorf("check %q: %s is one number; write it without %s()", text, measure, function)
	case duration && function != "avg":
		n, _ := strconv.Atoi(function[1:]) // its form is checked
		if c.Quantile = float64(n) / 100; n == 0 {
			return c, fmt.Errorf("check %q: percentiles are p1 to p99", text)
		}
	}
	return c, c.bound(bound)
}

func (c *MetricCheck) bound(text string) (err error) {
	if m := stableForm.FindStringSubmatch(text); m != nil {
		c.Stable = true
		c.Bound, err = strconv.ParseFloat(m[1], 64)
		return err
	}
	number, unit, example := text, "", ""
	switch c.Measure {
	case MeasureLatency, MeasureTTFT:
		d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
		if err != nil || d <= 0 {
			return fmt.Errorf("check %q: %q is not a duration; write one such as 800ms, or 1.2 * stable", c.Text, text)
		}
		c.Bound = d.Seconds()
		return nil
	case MeasureErrors:
		unit, example = "%", "a share of the requests; write one such as 1%"
	default:
		unit, example = "/s", "a rate; write one such as 50/s"
	}
	number, ok := strings.CutSuffix(number, unit)
	if number = strings.TrimSpace(number); !ok || !numberForm.MatchString(number) {
		return fmt.Errorf("check %q: %q is not %s, or 1.2 * stable", c.Text, text, example)
	}
	if c.Bound, err = strconv.ParseFloat(number, 64); err == nil && c.Measure == MeasureErrors {
		c.Bound /= 100
	}
	return err
}

// MetricChecks are the rollout's; those of a sound registry can all be read.
func (r Rollout) MetricChecks() (out []MetricCheck) {
	for _, text := range r.Checks {
		if c, err := ParseCheck(text); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// Samples is how many requests the checks want to have seen.
func (r Rollout) Samples() int {
	if r.MinSamples == 0 {
		return DefaultMinSamples
	}
	return r.MinSamples
}

// metricChecks wants checks that can be read and that the runtime has the metrics for.
func (c *check) metricChecks(r *Release) {
	roll := r.Serving.Rollout
	if roll.MinSamples < 0 || roll.MinSamples > 0 && len(roll.Checks) == 0 {
		c.fault([]string{"rollout", "minSamples"}, "rollout.minSamples is how many requests rollout.checks want to see, 1 or more; remove it, or write checks: [errors < 1%%]")
	}
	for i, text := range roll.Checks {
		field := []string{"rollout", "checks", strconv.Itoa(i)}
		parsed, err := ParseCheck(text)
		switch {
		case err != nil:
			c.fault(field, "%s", err)
			continue
		case parsed.Stable && roll.Strategy != Canary:
			c.fault(field, "check %q compares with the revision that serves beside the new one, which is a canary's; write a bound, or strategy: canary", text)
		}
		if r.Runtime == nil {
			continue
		}
		known := r.Runtime.Spec.Metrics.Measures
		switch t := known.Timing(parsed.Measure); {
		case !known.Tells(parsed.Measure):
			c.fault(field, "check %q: runtime %s does not tell %s%s; name its metrics under metrics in %s", text, r.Runtime, parsed.Measure, tells(known), r.Runtime.Path)
		case t != nil && t.Histogram == "" && parsed.Quantile > 0:
			c.fault(field, "check %q: runtime %s tells the average of %s only; write avg(%s)", text, r.Runtime, parsed.Measure, parsed.Measure)
		}
	}
}

func tells(m Measures) string {
	if told := m.told(); len(told) > 0 {
		return " (it tells " + strings.Join(told, ", ") + ")"
	}
	return ""
}
