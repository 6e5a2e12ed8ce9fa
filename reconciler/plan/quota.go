package plan

import (
	"maps"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// asked is how many GPUs releases, and runs that start, ask for: all of an environment, and by team.
type asked struct {
	all  int
	team map[string]int
}

func (a *asked) add(r *registry.Release) {
	if a.team == nil {
		a.team = map[string]int{}
	}
	a.all += r.GPUs()
	a.team[r.Team] += r.GPUs()
}

// starts adds the run of a training.
func (a *asked) starts(t *registry.Training) {
	if a.team == nil {
		a.team = map[string]int{}
	}
	a.all += t.GPUs()
	a.team[t.Team] += t.GPUs()
}

// starting are the GPUs of the runs that start. What is under way already nobody knows without the ledger.
func (c *comparison) starting(to map[string]*asked) (runs map[string]bool) {
	runs = map[string]bool{}
	for _, t := range c.plan.Trainings {
		if a := to[t.Environment]; a != nil && t.Run != "" && t.Accelerators > 0 {
			a.starts(c.after.Trainings[t.Training])
			runs[t.Environment] = true
		}
	}
	return runs
}

// quotas holds the GPUs of the changed environments against their bounds. A release with a fault keeps what it has.
func (c *comparison) quotas() error {
	names, of := c.environments(func(Release) bool { return true })
	for _, t := range c.plan.Trainings {
		if t.Run != "" && t.Accelerators > 0 {
			names = append(names, t.Environment)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var from, to = map[string]*asked{}, map[string]*asked{}
	for _, name := range names {
		from[name], to[name] = &asked{}, &asked{}
	}
	for _, r := range c.before.Releases {
		if a := from[r.Environment.Name]; a != nil {
			a.add(r)
			if _, broken := c.after.Broken[r.Key()]; broken {
				to[r.Environment.Name].add(r)
			}
		}
	}
	for _, r := range c.after.Releases {
		if a := to[r.Environment.Name]; a != nil {
			a.add(r)
		}
	}
	runs := c.starting(to)
	for _, name := range names {
		who := "releases"
		if runs[name] {
			who = "releases and new runs"
		}
		env := c.after.Environments[name]
		if env == nil {
			continue
		}
		quota := c.policyOf(env, of[name]).Quota
		if quota.GPUs > 0 {
			c.quota(Quota{Environment: name, From: from[name].all, To: to[name].all, Bound: quota.GPUs}, who)
		}
		teams := slices.AppendSeq(slices.Collect(maps.Keys(from[name].team)), maps.Keys(to[name].team))
		slices.Sort(teams)
		for _, team := range slices.Compact(teams) {
			if bound, bounded := quota.Of(team); bounded {
				of := " of team " + team
				if team == "" {
					of = " outside of teams"
				}
				c.quota(Quota{Environment: name, Team: &team, From: from[name].team[team], To: to[name].team[team], Bound: bound}, who+of)
			}
		}
	}
	return nil
}

func (c *comparison) quota(q Quota, who string) {
	switch {
	case q.To > q.Bound && q.To > q.From:
		c.find(Blocks, KindQuota, q.Environment, "%s in %s ask for %d GPUs, %d before, and the quota is %d; ask for less, or raise the quota", who, q.Environment, q.To, q.From, q.Bound)
	case q.To > q.Bound:
		c.find(Look, KindQuota, q.Environment, "%s in %s ask for %d GPUs, %d before, which is still more than the quota of %d", who, q.Environment, q.To, q.From, q.Bound)
	case q.To != q.From:
		c.find(Tells, KindQuota, q.Environment, "%s in %s ask for %d GPUs, %d before; the quota is %d", who, q.Environment, q.To, q.From, q.Bound)
	default:
		return
	}
	c.plan.Quotas = append(c.plan.Quotas, q)
}
