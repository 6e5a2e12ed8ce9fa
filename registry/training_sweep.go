package registry

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxTrials bounds a sweep: each trial is a run, a record in the ledger and objects in the cluster.
const maxTrials = 1000

// Trials are what the training has run: of a sweep each combination of its values as a training of its own, and else the
// training itself. A trial has the sweep's values over the training's own hyperparameters and no sweep, and with that the
// hash of the same spec written without one: a value added later has only the new combinations run. They are in the order
// of their values, the hyperparameters by name, the last one's values change first. Each call makes them anew.
func (t *Training) Trials() []*Training {
	if t.Spec.Sweep == nil {
		return []*Training{t}
	}
	trials := []*Training{t.trial(maps.Clone(t.Spec.Hyperparameters))}
	for _, name := range t.Spec.Sweep.Varied() {
		var next []*Training
		for _, before := range trials {
			for _, value := range t.Spec.Sweep.Hyperparameters[name] {
				all := maps.Clone(before.Spec.Hyperparameters)
				if all == nil {
					all = map[string]Hyperparameter{}
				}
				all[name] = value
				next = append(next, t.trial(all))
			}
		}
		trials = next
	}
	return trials
}

func (t *Training) trial(values map[string]Hyperparameter) *Training {
	trial := *t
	trial.Spec.Sweep, trial.Spec.Hyperparameters, trial.TrialOf = nil, values, t
	return &trial
}

// Varied are the names of the hyperparameters that differ between trials, or may as soon as one has another value, ordered.
func (s *Sweep) Varied() []string { return sortedKeys(s.Hyperparameters) }

// Values are those that a sweep gave a trial, as they are written; nil for what is no trial.
func (t *Training) Values() map[string]string {
	if t.TrialOf == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range t.TrialOf.Spec.Sweep.Varied() {
		values[name] = t.Spec.Hyperparameters[name].Value
	}
	return values
}

// Better says whether a trial with these metrics is better than another: by the sweep's metric, and with one rather than
// without. What is no finite number is none. Of two that are equal neither is better.
func (s *Sweep) Better(metrics, than map[string]float64) bool {
	a, told := s.Value(metrics)
	b, known := s.Value(than)
	switch {
	case !told || !known:
		return told && !known
	case s.Goal == "min":
		return a < b
	}
	return a > b
}

// Value is the sweep's metric, where there is a finite one.
func (s *Sweep) Value(metrics map[string]float64) (float64, bool) {
	v, told := metrics[s.Metric]
	return v, told && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// sweep checks what the trials are made of, and how the best is found.
func (c *trainingCheck) sweep(s *Sweep) {
	c.varied(s)
	if s.Metric == "" {
		c.add([]string{"sweep"}, "sweep.metric is missing; name the one of the trainer's metrics that decides which trial is the best")
	}
	goals := []string{"max", "min"}
	if s.Goal != "" && !slices.Contains(goals, s.Goal) {
		c.add([]string{"sweep", "goal"}, "sweep.goal: %q is not known%s", s.Goal, nearest(s.Goal, goals))
	}
	if s.Parallel < 0 {
		c.add([]string{"sweep", "parallel"}, "sweep.parallel: %d is less than 0", s.Parallel)
	}
}

func (c *trainingCheck) varied(s *Sweep) {
	field := func(more ...string) []string { return append([]string{"sweep", "hyperparameters"}, more...) }
	names := keysBelow(c.doc.spec, "sweep", "hyperparameters") // also those without a value, which are not decoded
	if len(names) == 0 {
		c.add(field(), "sweep.hyperparameters is missing or empty; write the values of each, such as {lr: [0.1, 0.01]}")
	}
	trials := 1
	for _, name := range names {
		values := s.Hyperparameters[name]
		if !argumentName.ok(name) {
			c.add(field(name), "hyperparameter %q is not %s", name, argumentName.text)
		}
		if len(values) == 0 {
			c.add(field(name), "hyperparameter %q has no values to try; list some, or remove it", name)
		}
		trials = min(trials*max(len(values), 1), maxTrials+1)
		seen := map[string]bool{}
		for i, v := range values {
			at := field(name, strconv.Itoa(i))
			switch same := v.same(); {
			case v == Hyperparameter{}:
				c.add(at, "hyperparameter %q: a value is empty; write one, or \"\" for an empty text", name)
			case seen[same]:
				c.add(at, "hyperparameter %q has the value %s twice; remove one of them", name, v.Value)
			default:
				seen[same] = true
			}
		}
	}
	if trials > maxTrials {
		c.add(field(), "sweep has more than %d trials; try fewer values at once", maxTrials)
	}
}

// same is equal for two values that a trainer is told as one: 0.1 and 0.10, but not 7 and "7".
func (h Hyperparameter) same() string {
	if n, err := strconv.ParseFloat(h.JSON, 64); err == nil {
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	return h.JSON
}

// keysBelow are a mapping's keys, ordered; none where there is no mapping.
func keysBelow(n *yaml.Node, path ...string) (keys []string) {
	for _, p := range path {
		i := find(n, p)
		if i < 0 {
			return nil
		}
		n = n.Content[i+1]
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
