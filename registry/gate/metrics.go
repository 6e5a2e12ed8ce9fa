package gate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/davit-dev/davit/registry"
)

// metrics holds a version's metrics against their bounds.
func metrics(r *registry.Release, gates registry.Gates, serving *registry.ModelVersion) (findings []Finding) {
	for _, name := range slices.Sorted(maps.Keys(gates.Metrics)) {
		gate := gates.Metrics[name]
		if len(gate.Tasks) > 0 && !slices.Contains(gate.Tasks, r.Model.Spec.Task) {
			continue
		}
		f := Finding{Gate: "metrics/" + name, State: Failed}
		value, told := r.ModelVersion.Spec.Metrics[name]
		if !told {
			f.Message = fmt.Sprintf("%s tells no %s; write it under metrics in %s", r.ModelVersion, name, r.ModelVersion.Path)
		} else if f.Message = out(gate, name, value, r, serving); f.Message == "" {
			f.State, f.Message = Passed, fmt.Sprintf("%s %s", name, number(value))
		}
		findings = append(findings, f)
	}
	return findings
}

// out says which bound a value is out of; "" for none.
func out(gate registry.MetricGate, name string, value float64, r *registry.Release, serving *registry.ModelVersion) string {
	say := func(format string, args ...any) string {
		return fmt.Sprintf("%s of %s is %s: ", name, r.ModelVersion, number(value)) + fmt.Sprintf(format, args...) + "; promote another version"
	}
	switch {
	case gate.Min != nil && value < *gate.Min:
		return say("less than %s", number(*gate.Min))
	case gate.Max != nil && value > *gate.Max:
		return say("more than %s", number(*gate.Max))
	case serving == nil:
		return ""
	}
	now, told := serving.Spec.Metrics[name]
	switch {
	case !told:
		return ""
	case gate.MaxDropFromServing != nil && beyond(now-value, *gate.MaxDropFromServing):
		return say("%s less than the %s of %s, which is served; at most %s is allowed", number(now-value), number(now), serving.Name, number(*gate.MaxDropFromServing))
	case gate.MaxRiseFromServing != nil && beyond(value-now, *gate.MaxRiseFromServing):
		return say("%s more than the %s of %s, which is served; at most %s is allowed", number(value-now), number(now), serving.Name, number(*gate.MaxRiseFromServing))
	}
	return ""
}

// beyond compares differences of decimal numbers: 0.97 - 0.95 is not more than 0.02.
func beyond(difference, bound float64) bool { return difference-bound > 1e-9 }

func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
