package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// maxDeletions is how many releases may go at once from an environment that says nothing else.
const maxDeletions = 10

// manyAtOnce is how many releases a shared change moves before a reviewer should know that it goes without waves.
const manyAtOnce = 10

// environments lists those of the changed releases, each with them.
func (c *comparison) environments(which func(Release) bool) (names []string, of map[string][]Release) {
	of = map[string][]Release{}
	for _, r := range c.plan.Releases {
		if which(r) {
			env := r.Key().Environment
			of[env] = append(of[env], r)
		}
	}
	return slices.Sorted(maps.Keys(of)), of
}

func (c *comparison) find(level Level, kind Kind, environment, format string, args ...any) *Finding {
	c.plan.Findings = append(c.plan.Findings, Finding{Level: level, Kind: kind, Environment: environment, Message: fmt.Sprintf(format, args...)})
	return &c.plan.Findings[len(c.plan.Findings)-1]
}

// deletions holds what goes, chosen or not, against the bound of its environment.
func (c *comparison) deletions() error {
	names, _ := c.environments(func(r Release) bool { return r.Change == Remove })
	for _, name := range names {
		n := 0
		for _, r := range c.before.Releases {
			if key := r.Key(); key.Environment == name && c.after.Release(key) == nil && c.after.Broken[key] == nil {
				n++
			}
		}
		env := c.after.Environments[name]
		if env == nil {
			c.find(Blocks, KindDeletions, name, "environments/%s/environment.yaml is missing or faulty, so nothing of %s is deleted; remove its releases first, and the environment after that", name, name)
			continue
		}
		limit := env.Spec.Prune.MaxDeletions
		if limit == 0 {
			limit = maxDeletions
		}
		switch {
		case len(c.after.Releases) == 0:
			c.find(Blocks, KindDeletions, name, "the registry has no releases at all after this change, so nothing is deleted; delete the last ones by hand if that is meant")
		case n > limit:
			c.find(Blocks, KindDeletions, name, "%s would be deleted and prune.maxDeletions is %d, so nothing is; remove fewer at once, or raise it in %s", counted(n, "release"), limit, env.Path)
		default:
			serves := "them"
			if n == 1 {
				serves = "it"
			}
			c.find(Look, KindDeletions, name, "%s and what serves %s are deleted; prune.maxDeletions is %d", counted(n, "release"), serves, limit)
		}
	}
	return nil
}

// waves tells how a change of shared files goes through an environment.
func (c *comparison) waves() error {
	names, of := c.environments(func(r Release) bool { return r.Shared && r.Change == Modify })
	for _, name := range names {
		env, n := c.after.Environments[name], len(of[name])
		if n < 2 || env == nil {
			continue
		}
		fleet := env.Spec.Fleet
		if len(fleet.Waves) == 0 {
			level := Tells
			if n >= manyAtOnce {
				level = Look
			}
			c.find(level, KindWaves, name, "%s of %s change by shared files and go all at once; fleet.waves in %s would take them one after another", counted(n, "release"), name, env.Path)
			continue
		}
		var sizes []string
		for _, size := range fleet.Sizes(n) {
			sizes = append(sizes, strconv.Itoa(size))
		}
		text := fmt.Sprintf("%s of %s change by shared files and go in waves of %s", counted(n, "release"), name, strings.Join(sizes, ", "))
		if fleet.Soak > 0 && len(sizes) > 1 {
			text += fmt.Sprintf(", %s apart", length(time.Duration(fleet.Soak)))
		}
		c.find(Tells, KindWaves, name, "%s; %s in all stops the rest", text, counted(max(fleet.StopAfterFailed, 1), "failure"))
	}
	return nil
}

// freezes tells which of the changed environments are frozen, or will be within a day.
func (c *comparison) freezes() error {
	if c.Now.IsZero() {
		return nil
	}
	names, of := c.environments(func(Release) bool { return true })
	for _, name := range names {
		env := c.after.Environments[name]
		if env == nil {
			continue
		}
		policy := c.policyOf(env, of[name])
		if freeze, until := gate.Frozen(policy, c.Now); freeze != nil {
			f := c.find(Waits, KindFreeze, name, "%s is frozen by %q until %s%s; what this changes waits until then, but for rollbacks and what the role %s signs for",
				name, freeze.Name, stamp(until), because(freeze), registry.Urgent)
			f.Until = until
			continue
		}
		for _, freeze := range policy.Freeze {
			if begin := freeze.Next(c.Now); !begin.IsZero() && begin.Sub(c.Now) <= 24*time.Hour {
				c.find(Look, KindFreeze, name, "the freeze %q of %s begins at %s%s; what is not applied by then waits for its end", freeze.Name, name, stamp(begin), because(&freeze))
			}
		}
	}
	return nil
}

func because(f *registry.Freeze) string {
	if f.Reason == "" {
		return ""
	}
	return " (" + f.Reason + ")"
}

// policyOf is an environment's own policy and the floor that is known of one of its releases.
func (c *comparison) policyOf(env *registry.Environment, releases []Release) registry.Policy {
	for _, r := range releases {
		if is := c.after.Release(r.Key()); is != nil {
			return gate.Policy(is, c.facts(is).Floor)
		}
	}
	return env.Spec.Policy
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// length is a time span without the units that are zero.
func length(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
