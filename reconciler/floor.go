package reconciler

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// floor is a grant's policy in the registry's terms, or everything that is wrong with it, by the fields of the grant.
func floor(p *v1alpha1.PromotionPolicy) (*registry.Policy, error) {
	if p == nil {
		return nil, nil
	}
	var faults []error
	add := func(field []string, text string) {
		faults = append(faults, fmt.Errorf("policy.%s: %s", strings.Join(field, "."), text))
	}
	out := registry.Strict()
	out.Roles = map[string][]string{}
	for role, keys := range p.Roles {
		out.Roles[role] = keys
	}
	if p.AutoMerge != nil {
		out.AutoMerge = *p.AutoMerge
	}
	out.Gates = floorGates(p.Gates, add)
	for i, f := range p.Freeze {
		out.Freeze = append(out.Freeze, registry.Freeze{
			Name: f.Name, Schedule: f.Schedule, Duration: span(f.Duration, []string{"freeze", strconv.Itoa(i), "duration"}, add), Timezone: f.Timezone,
			From: registry.Moment{Time: f.From.Time}, Until: registry.Moment{Time: f.Until.Time}, Reason: f.Reason,
		})
	}
	if q := p.Quota; q != nil {
		out.Quota = registry.Quota{GPUs: int(q.GPUs), PerTeam: int(q.PerTeam), Teams: map[string]int{}}
		for team, n := range q.Teams {
			out.Quota.Teams[team] = int(n)
		}
	}
	out.Check(add)
	return &out, errors.Join(faults...)
}

func floorGates(g *v1alpha1.Gates, add func([]string, string)) (out registry.Gates) {
	if g == nil {
		return out
	}
	out = registry.Gates{
		Metrics: map[string]registry.MetricGate{}, HealthyIn: map[string]registry.Duration{}, Evidence: g.Evidence, Approvals: map[string]int{},
	}
	for name, m := range g.Metrics {
		bound := func(field string, b v1alpha1.Bound) *float64 {
			if b == "" {
				return nil
			}
			x, err := strconv.ParseFloat(string(b), 64)
			if err != nil {
				add([]string{"gates", "metrics", name, field}, fmt.Sprintf("%q is not a number", b))
			}
			return &x
		}
		out.Metrics[name] = registry.MetricGate{
			Min: bound("min", m.Min), Max: bound("max", m.Max), MaxDropFromServing: bound("maxDropFromServing", m.MaxDropFromServing),
			MaxRiseFromServing: bound("maxRiseFromServing", m.MaxRiseFromServing), Tasks: m.Tasks,
		}
	}
	for env, d := range g.HealthyIn {
		out.HealthyIn[env] = span(d, []string{"gates", "healthyIn", env}, add)
	}
	for role, n := range g.Approvals {
		out.Approvals[role] = int(n)
	}
	return out
}

func span(text v1alpha1.Span, field []string, add func([]string, string)) registry.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		add(field, fmt.Sprintf("%q is not a length of time such as 24h", text))
	}
	return registry.Duration(d)
}
