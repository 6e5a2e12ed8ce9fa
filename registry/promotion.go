package registry

import (
	"strings"
	"time"
)

// Policy is how promotions to an environment are decided. environment.yaml holds one, and whoever grants the environment
// its place may hold another that no file can lower: [Policy.And] joins them.
type Policy struct {
	// Gates are what a version must have before a release is promoted to it.
	Gates Gates `yaml:"gates"`
	// Roles lists the SSH public keys, each as a line of authorized_keys, whose signature counts as an approval in that
	// role. Those of [Urgent] may sign what a freeze lets through.
	Roles map[string][]string `yaml:"roles"`
	// Freeze are the times in which nothing new is applied.
	Freeze []Freeze `yaml:"freeze"`
	// Quota bounds the GPUs that releases and trainings' runs ask for.
	Quota Quota `yaml:"quota"`
	// AutoMerge lets promotion rules merge by themselves that say so, and trainings that run here what they make.
	AutoMerge bool `yaml:"autoMerge"`
}

// Urgent is the role of those whose signed commits go through a freeze, or soak for less.
const Urgent = "urgent"

// Gates are what a version must have before a release is promoted to it. The zero value lets everything through.
type Gates struct {
	// Metrics bounds what the version tells of itself, by the metric's name. A metric that is missing is a failure.
	Metrics map[string]MetricGate `yaml:"metrics"`
	// HealthyIn is how long the version must have been healthy, without interruption, in other environments: in the
	// release of the same name.
	HealthyIn map[string]Duration `yaml:"healthyIn"`
	// Evidence names files that must lie in the model's folder evidence/<version>/, without what comes after the first dot.
	Evidence []string `yaml:"evidence"`
	// Approvals is how many people must have approved, by role. Nobody's approval counts in two roles.
	Approvals map[string]int `yaml:"approvals"`
}

// MetricGate bounds one metric. Nil bounds are none.
type MetricGate struct {
	Min *float64 `yaml:"min"`
	Max *float64 `yaml:"max"`
	// MaxDropFromServing and MaxRiseFromServing bound how much worse than the version served now it may be, of whichever
	// model that is; they say nothing where none is served or that one does not tell the metric.
	MaxDropFromServing *float64 `yaml:"maxDropFromServing"`
	MaxRiseFromServing *float64 `yaml:"maxRiseFromServing"`
	// Tasks are those of the models the bound is meant for; all when empty.
	Tasks []string `yaml:"tasks"`
}

// PromoteRule is by what davit proposes the next version of a release.
type PromoteRule struct {
	// From is an environment, whose release of the same name tells the version, or training/<name> of the model; "none"
	// takes the environment's default away.
	From string `yaml:"from"`
	// HealthyFor is how long the version must have been healthy there.
	HealthyFor Duration `yaml:"healthyFor"`
	// Merge is "review" (the zero value's meaning) or "auto", which the environment must allow.
	Merge string `yaml:"merge"`
}

// FromEnvironment is the environment that a rule takes versions from; "" for a training, and for none.
func (p PromoteRule) FromEnvironment() string {
	if p.From == "none" || strings.HasPrefix(p.From, "training/") {
		return ""
	}
	return p.From
}

// Freeze is a time in which nothing new is applied, but for rollbacks and what the signers of [Urgent] call so. It recurs
// by Schedule and Duration, or is once from From to Until. It is about what serves: trainings start in it, and the versions
// that they make are merged.
type Freeze struct {
	// Name is what errors call it.
	Name string `yaml:"name"`
	// Schedule is when it begins: the five fields of crontab(5), in Timezone.
	Schedule string   `yaml:"schedule"`
	Duration Duration `yaml:"duration"`
	// Timezone is a name of the IANA database; UTC when empty.
	Timezone string `yaml:"timezone"`
	From     Moment `yaml:"from"`
	Until    Moment `yaml:"until"`
	Reason   string `yaml:"reason"`
}

// Quota bounds GPUs; zero is no bound.
type Quota struct {
	// GPUs is for all releases of the environment and all runs under way in it together.
	GPUs int `yaml:"gpus"`
	// PerTeam is for each team that Teams does not name; what is at the root is the team "".
	PerTeam int `yaml:"perTeam"`
	// Teams are those with a bound of their own; 0 lets the team have none.
	Teams map[string]int `yaml:"teams"`
}

// Of is a team's bound, and whether there is one.
func (q Quota) Of(team string) (gpus int, bounded bool) {
	if n, ok := q.Teams[team]; ok {
		return n, true
	}
	return q.PerTeam, q.PerTeam > 0
}

// GPUs is how many GPUs, or parts of one where its accelerator hands out parts, the release's server asks for at most.
func (r *Release) GPUs() int {
	replicas := 1
	switch s := r.Serving; {
	case s.Autoscale != nil:
		replicas = s.Autoscale.Max
	case s.Replicas != nil:
		replicas = *s.Replicas
	}
	return r.Serving.GPUs * max(r.Serving.Nodes, 1) * replicas
}

// And is the stricter of both in everything.
func (p Policy) And(o Policy) Policy {
	return Policy{
		Gates: p.Gates.And(o.Gates), Roles: bothRoles(p.Roles, o.Roles), Freeze: append(p.Freeze[:len(p.Freeze):len(p.Freeze)], o.Freeze...),
		Quota: p.Quota.and(o.Quota), AutoMerge: p.AutoMerge && o.AutoMerge,
	}
}

// Strict is the policy that [Policy.And] leaves the other one as it is with.
func Strict() Policy { return Policy{AutoMerge: true} }

// And is the stricter of both in everything.
func (g Gates) And(o Gates) Gates {
	out := Gates{Metrics: map[string]MetricGate{}, HealthyIn: map[string]Duration{}, Approvals: map[string]int{}}
	seen := map[string]bool{}
	for _, gates := range []Gates{g, o} {
		for name, m := range gates.Metrics {
			if before, ok := out.Metrics[name]; ok {
				m = m.and(before)
			}
			out.Metrics[name] = m
		}
		for env, d := range gates.HealthyIn {
			out.HealthyIn[env] = max(out.HealthyIn[env], d)
		}
		for role, n := range gates.Approvals {
			out.Approvals[role] = max(out.Approvals[role], n)
		}
		for _, name := range gates.Evidence {
			if !seen[name] {
				seen[name] = true
				out.Evidence = append(out.Evidence, name)
			}
		}
	}
	return out
}

func (m MetricGate) and(o MetricGate) MetricGate {
	out := MetricGate{
		Min: stricter(m.Min, o.Min, true), Max: stricter(m.Max, o.Max, false),
		MaxDropFromServing: stricter(m.MaxDropFromServing, o.MaxDropFromServing, false),
		MaxRiseFromServing: stricter(m.MaxRiseFromServing, o.MaxRiseFromServing, false),
	}
	if len(m.Tasks) > 0 && len(o.Tasks) > 0 {
		out.Tasks = append(m.Tasks[:len(m.Tasks):len(m.Tasks)], o.Tasks...)
	}
	return out
}

// stricter is the bound that both hold by: the higher one of floors.
func stricter(a, b *float64, floor bool) *float64 {
	if a == nil || b != nil && (*b > *a) == floor {
		return b
	}
	return a
}

// bothRoles are the keys of each role that both name; where only one names the role, its keys.
func bothRoles(a, b map[string][]string) map[string][]string {
	out := map[string][]string{}
	for role, keys := range a {
		other, named := b[role]
		if !named {
			out[role] = keys
			continue
		}
		out[role] = []string{}
		for _, key := range keys {
			if hasKey(other, key) {
				out[role] = append(out[role], key)
			}
		}
	}
	for role, keys := range b {
		if _, named := a[role]; !named {
			out[role] = keys
		}
	}
	return out
}

func (q Quota) and(o Quota) Quota {
	lower := func(a, b int) int {
		if a == 0 || b > 0 && b < a {
			return b
		}
		return a
	}
	out := Quota{GPUs: lower(q.GPUs, o.GPUs), PerTeam: lower(q.PerTeam, o.PerTeam), Teams: map[string]int{}}
	for _, both := range []Quota{q, o} {
		for team := range both.Teams {
			a, bounded := q.Of(team)
			b, also := o.Of(team)
			switch {
			case bounded && also:
				out.Teams[team] = min(a, b)
			case bounded:
				out.Teams[team] = a
			default:
				out.Teams[team] = b
			}
		}
	}
	return out
}

// Active says whether a freeze holds at a moment, and then when it ends. Windows that overlap are one.
func (f Freeze) Active(now time.Time) (until time.Time, frozen bool) {
	if f.Schedule == "" {
		return f.Until.Time, !now.Before(f.From.Time) && now.Before(f.Until.Time)
	}
	schedule, zone, err := f.times()
	if err != nil {
		return time.Time{}, false // told where it was read
	}
	length := time.Duration(f.Duration)
	until = now
	for range maxOverlap {
		begin := schedule.Next(until.Add(-length).In(zone))
		if begin.IsZero() || begin.After(until) || !begin.Add(length).After(until) {
			break
		}
		until, frozen = begin.Add(length), true
	}
	return until, frozen
}

// maxOverlap is how many windows are joined: a schedule may overlap itself for ever.
const maxOverlap = 100
