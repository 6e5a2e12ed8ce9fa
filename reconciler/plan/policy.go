package plan

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/registry"
)

// environmentPolicies are the fields of environment.yaml by which others are judged.
var environmentPolicies = []string{
	"gates", "roles", "freeze", "quota", "autoMerge", "promote", "prune", "fleet", "rollback", "bake", "drift", "images", "allowCode",
}

// policies tells where the change changes what it is judged by.
func (c *comparison) policies() error {
	for _, name := range slices.Sorted(maps.Keys(c.after.Environments)) {
		was, is := c.before.Environments[name], c.after.Environments[name]
		if was == nil || !c.ofEnvironment(name) {
			continue
		}
		if err := c.policy(was.Path, is.Path, environmentPolicies, Finding{Environment: name, Message: name}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.after.Models)) {
		was, is := c.before.Models[name], c.after.Models[name]
		if was == nil {
			continue
		}
		if was.Team != is.Team && c.Match(registry.Key{}) {
			c.find(Look, KindPolicy, "", "this branch moves the model %s %s: others answer for it, and for the gates it sets", name, moved(was.Team, is.Team))
		}
		if len(was.Spec.Gates)+len(is.Spec.Gates) == 0 {
			continue
		}
		if err := c.policy(was.Path, is.Path, []string{"gates"}, Finding{Message: "the model " + name}); err != nil {
			return err
		}
	}
	return nil
}

// moved says from which team's folder to which.
func moved(from, to string) string {
	switch {
	case from == "":
		return "to team " + to
	case to == "":
		return "from team " + from + " to the root"
	}
	return "from team " + from + " to " + to
}

// ofEnvironment says whether what is said of an environment as a whole was asked for.
func (c *comparison) ofEnvironment(name string) bool {
	return c.Match(registry.Key{Environment: name}) || slices.ContainsFunc(c.plan.Releases, func(r Release) bool { return r.Key().Environment == name })
}

// policy compares some fields of a file's spec. The message of f is whose they are.
func (c *comparison) policy(was, is string, fields []string, f Finding) error {
	changed, err := c.edited(was, is, fields, &f)
	if err != nil || len(changed) == 0 {
		return err
	}
	f.Level, f.Kind = Look, KindPolicy
	f.Message = fmt.Sprintf("this branch changes the %s of %s itself, in %s", enumerated(changed), f.Message, is)
	c.plan.Findings = append(c.plan.Findings, f)
	return nil
}

// edited puts what differs of some fields of a file's spec into a finding, and says which of them do.
func (c *comparison) edited(was, is string, fields []string, f *Finding) (changed []string, err error) {
	from, err := specOf(c.before.FS(), was)
	if err != nil {
		return nil, err
	}
	to, err := specOf(c.after.FS(), is)
	if err != nil {
		return nil, err
	}
	d := differ{deep: true}
	for _, field := range fields {
		n := len(d.fields)
		d.values(field, from[field], to[field])
		if len(d.fields) > n {
			changed = append(changed, field)
		}
	}
	f.Fields = d.fields
	return changed, nil
}

func enumerated(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// specOf is a file's spec as it is written.
func specOf(fsys fs.FS, name string) (map[string]any, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var file struct {
		Spec map[string]any `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return file.Spec, nil
}

// marks tells which versions are marked bad, or are not any more, and who serves them.
func (c *comparison) marks() error {
	for _, name := range slices.Sorted(maps.Keys(c.after.Models)) {
		versions := c.after.Models[name].Versions
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			is, was := versions[version].Bad, (*registry.BadVersion)(nil)
			if old := c.before.Models[name]; old != nil && old.Versions[version] != nil {
				was = old.Versions[version].Bad
			}
			if (was == nil) == (is == nil) {
				continue
			}
			serves, matches := c.serving(name, version)
			if !matches && !c.Match(registry.Key{}) {
				continue
			}
			f := Finding{Level: Look, Kind: KindMark, Message: fmt.Sprintf("this branch takes the mark off %s@%s: it was bad, and may be promoted again", name, version)}
			if is != nil {
				f.Message = strings.TrimSuffix(fmt.Sprintf("this branch marks %s@%s as bad: %s", name, version, is.Spec.Reason), ": ")
				if len(serves) > 0 {
					f.Message += fmt.Sprintf("; %s it, and stays until it is promoted to another version or taken back with davit rollback", serve(serves))
				}
			}
			c.plan.Findings = append(c.plan.Findings, f)
		}
	}
	return nil
}

// serving lists the releases that have a version after the change, and whether one of them was asked for.
func (c *comparison) serving(model, version string) (keys []string, matches bool) {
	for _, r := range c.after.Releases {
		if r.Model.Name == model && r.ModelVersion.Name == version && r.MarkedBad(c.before.Release(r.Key())) == nil {
			keys = append(keys, r.Key().String())
			matches = matches || c.Match(r.Key())
		}
	}
	return keys, matches
}

func serve(keys []string) string {
	const shown = 5
	if len(keys) > shown {
		return fmt.Sprintf("%s and %d more serve", strings.Join(keys[:shown], ", "), len(keys)-shown)
	}
	if len(keys) > 1 {
		return strings.Join(keys, ", ") + " serve"
	}
	return keys[0] + " serves"
}
