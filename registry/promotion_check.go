package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"golang.org/x/crypto/ssh"
)

// times is when a recurring freeze begins, and in which zone.
func (f Freeze) times() (cron.Schedule, *time.Location, error) {
	return crontab(f.Schedule, f.Timezone)
}

// Check tells what is wrong with a policy, by the path of the field in it.
func (p Policy) Check(report func(field []string, text string)) {
	add := func(field []string, format string, args ...any) { report(field, fmt.Sprintf(format, args...)) }
	checkGates(p.Gates, []string{"gates"}, add)
	for _, role := range sortedKeys(p.Roles) {
		if !dnsLabel.ok(role) {
			add([]string{"roles", role}, "role %q is not %s", role, dnsLabel.text)
		}
		for i, key := range p.Roles[role] {
			if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(key)); err != nil || len(rest) > 0 {
				add([]string{"roles", role, fmt.Sprint(i)}, "%q is not a public key as in ~/.ssh/id_ed25519.pub", key)
			}
		}
	}
	for _, role := range sortedKeys(p.Gates.Approvals) {
		if keys, named := p.Roles[role]; len(p.Roles) > 0 && (!named || p.Gates.Approvals[role] > len(keys)) {
			add([]string{"gates", "approvals", role}, "approvals wants %d in role %q, and roles names %d; add their keys under roles.%s", p.Gates.Approvals[role], role, len(keys), role)
		}
	}
	for i, f := range p.Freeze {
		for _, fault := range f.faults() {
			add([]string{"freeze", fmt.Sprint(i)}, "freeze %s", fault)
		}
	}
	checkQuota(p.Quota, add)
}

func (f Freeze) faults() (faults []string) {
	if f.Name == "" {
		faults = append(faults, "has no name; write one, errors tell it")
	}
	once := !f.From.IsZero() || !f.Until.IsZero()
	switch {
	case f.Schedule != "" && once:
		faults = append(faults, fmt.Sprintf("%q has a schedule and from or until; write one of the two", f.Name))
	case f.Schedule == "" && (f.From.IsZero() || !f.Until.After(f.From.Time)):
		faults = append(faults, fmt.Sprintf("%q has neither a schedule and a duration, nor from and a later until; write one of the two", f.Name))
	case f.Schedule != "":
		if f.Duration <= 0 {
			faults = append(faults, fmt.Sprintf("%q has no duration; write such as 72h", f.Name))
		}
		if _, _, err := f.times(); err != nil {
			faults = append(faults, fmt.Sprintf("%q: %v", f.Name, err))
		}
	}
	return faults
}

func checkQuota(q Quota, add func([]string, string, ...any)) {
	if q.GPUs < 0 || q.PerTeam < 0 {
		add([]string{"quota"}, "quota: a number of GPUs is less than 0")
	}
	for _, team := range sortedKeys(q.Teams) {
		if q.Teams[team] < 0 {
			add([]string{"quota", "teams", team}, "quota of team %q: %d is less than 0", team, q.Teams[team])
		}
	}
}

func checkGates(g Gates, field []string, add func([]string, string, ...any)) {
	at := func(names ...string) []string { return slices.Concat(field, names) }
	for _, name := range sortedKeys(g.Metrics) {
		m := g.Metrics[name]
		if m.Min == nil && m.Max == nil && m.MaxDropFromServing == nil && m.MaxRiseFromServing == nil {
			add(at("metrics", name), "metric %q has no bound; write min, max, maxDropFromServing or maxRiseFromServing", name)
		}
		if m.Min != nil && m.Max != nil && *m.Min > *m.Max {
			add(at("metrics", name), "metric %q: min %v is more than max %v", name, *m.Min, *m.Max)
		}
		for _, bound := range []*float64{m.MaxDropFromServing, m.MaxRiseFromServing} {
			if bound != nil && *bound < 0 {
				add(at("metrics", name), "metric %q: %v is less than 0", name, *bound)
			}
		}
	}
	for _, env := range sortedKeys(g.HealthyIn) {
		if !dnsLabel.ok(env) || g.HealthyIn[env] < 0 {
			add(at("healthyIn", env), "healthyIn: %q is not an environment and how long, such as staging: 24h", env)
		}
	}
	for i, name := range g.Evidence {
		if !evidenceName.ok(name) {
			add(at("evidence", fmt.Sprint(i)), "evidence %q is not %s", name, evidenceName.text)
		}
	}
	for _, role := range sortedKeys(g.Approvals) {
		if !dnsLabel.ok(role) || g.Approvals[role] < 1 {
			add(at("approvals", role), "approvals: %q: %d is not a role and how many, such as risk: 1", role, g.Approvals[role])
		}
	}
}

// checkRule tells what is wrong with a promotion rule of an environment's releases, or nothing.
func checkRule(p PromoteRule, environment string) string {
	training, isTraining := strings.CutPrefix(p.From, "training/")
	merges := []string{"review", "auto"}
	switch {
	case p.From == "":
		return "promote.from is missing; write an environment, training/NAME, or none"
	case p.From == environment:
		return fmt.Sprintf("promote.from: %q is the environment itself", p.From)
	case isTraining && !dnsLabel.ok(training), !isTraining && !dnsLabel.ok(p.From):
		return fmt.Sprintf("promote.from: %q is not an environment, training/NAME, or none", p.From)
	case isTraining && p.HealthyFor != 0:
		return "promote.healthyFor is for an environment; a training's version is not served yet"
	case p.HealthyFor < 0:
		return "promote.healthyFor is less than 0"
	case p.Merge != "" && !slices.Contains(merges, p.Merge):
		return fmt.Sprintf("promote.merge: %q is not known%s", p.Merge, nearest(p.Merge, merges))
	}
	return ""
}

// promote gives a release its own rule, or its environment's.
func (c *check) promote(r *Release, own *PromoteRule) {
	rule := PromoteRule{}
	switch {
	case own != nil:
		rule = *own
		if text := checkRule(rule, c.entry.key.Environment); text != "" {
			c.fault([]string{"promote"}, "%s", text)
		}
	case r.Environment != nil:
		rule = r.Environment.Spec.Promote
	}
	if rule.From != "" && rule.From != "none" {
		r.Promote = &rule
	}
}

// hasKey says whether a line of authorized_keys has the key of another, whatever their comments.
func hasKey(lines []string, line string) bool {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	return err == nil && slices.ContainsFunc(lines, func(l string) bool {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l))
		return err == nil && string(k.Marshal()) == string(key.Marshal())
	})
}

// checkModelGates looks at a model's gates.
func checkModelGates(doc *document, m *Model) []Fault {
	f := faultsOf{doc: doc}
	for _, env := range sortedKeys(m.Spec.Gates) {
		if !dnsLabel.ok(env) {
			f.add([]string{"gates", env}, "gates: %q is not the name of an environment", env)
		}
		checkGates(m.Spec.Gates[env], []string{"gates", env}, f.add)
	}
	return f.faults
}
