package registry

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// check resolves a release's references, each fault at the line that names the thing.
type check struct {
	n            *Registry
	entry        *entry
	doc, serving *document
	bad          bool
}

func (c *check) resolve(r *Release, version string) {
	e, s := c.entry, &r.Serving
	r.Environment = c.environment(e.key.Environment)
	r.Model, r.ModelVersion = c.version(s.Model, version)
	r.Runtime = c.runtime(s.Runtime, r.Environment)
	r.Accelerator = c.accelerator(s)
	c.code(r)
	c.serve(s)
	c.server(r)
	c.rollout(r)
	c.autoscale(r)
	c.route(r)
	c.smokeTest(s, r.Runtime)
	c.dependsOn(s)
}

// at is the file and line of a field: in the Release where it is set there, else in the Serving.
func (c *check) at(field ...string) (string, int) {
	doc := c.doc
	if find(doc.spec, field[0]) < 0 && find(c.serving.spec, field[0]) >= 0 {
		doc = c.serving
	}
	return doc.path, line(doc.spec, field...)
}

func (c *check) fault(field []string, format string, args ...any) {
	c.bad = true
	file, line := c.at(field...)
	c.entry.faults = append(c.entry.faults, Fault{file, line, said(format, args...)})
}

// hint is a list of what there is to name; the entry is resolved anew when it changes.
func (c *check) hint(list func() []string) []string {
	c.entry.names.hinted = true
	return list()
}

func (c *check) environment(name string) *Environment {
	units := c.n.environments.named(name)
	if len(units) == 0 {
		c.bad = true
		c.entry.faults = append(c.entry.faults, Fault{c.entry.path, 1, fmt.Sprintf("environment %q does not exist%s", name, nearest(name, c.n.tree.environments))})
		return nil
	}
	return usable(c, units[0])
}

// usable gives what a release stands on; what is wrong with that is wrong with the release.
func usable[T any](c *check, u *unit[T]) *T {
	if u.value == nil {
		c.bad = true
		c.entry.faults = append(c.entry.faults, u.faults...)
	}
	return u.value
}

func (c *check) version(model, version string) (*Model, *ModelVersion) {
	c.entry.names.model = model
	if model == "" {
		c.fault([]string{"model"}, "spec.model is missing; name the model that is served")
		return nil, nil
	}
	units := c.n.models.named(model)
	if len(units) == 0 {
		c.fault([]string{"model"}, "model %q does not exist%s", model, nearest(model, c.hint(c.n.hints.models)))
		return nil, nil
	}
	if len(units) > 1 { // told there
		c.bad = true
		return nil, nil
	}
	m := usable(c, units[0])
	if m == nil {
		return nil, nil
	}
	if version == "" {
		c.fault([]string{"version"}, "spec.version is missing (have %s)", some(sortedKeys(m.Versions)))
		return m, nil
	}
	v := m.Versions[version]
	switch {
	case v != nil:
	case slices.Contains(m.faulty, version):
		c.fault([]string{"version"}, "version %q of model %q has a fault; see %s", version, model, path.Join(units[0].dir, "versions", version+".yaml"))
	default:
		c.fault([]string{"version"}, "version %q of model %q does not exist (have %s)", version, model, some(sortedKeys(m.Versions)))
	}
	return m, v
}

func (c *check) runtime(ref string, env *Environment) *Runtime {
	if ref == "" {
		c.fault([]string{"runtime"}, "spec.runtime is missing (have %s)", some(c.hint(c.n.hints.runtimes)))
		return nil
	}
	if !strings.Contains(ref, "@") {
		if env == nil {
			return nil
		}
		version := env.Spec.Runtimes[ref]
		if version == "" {
			c.fault([]string{"runtime"}, "runtime %q has no version here; write %q, or give it one under runtimes in %s", ref, ref+"@VERSION", env.Path)
			return nil
		}
		ref += "@" + version
	}
	c.entry.names.runtime = ref
	units := c.n.runtimes.named(ref)
	if len(units) == 0 {
		c.fault([]string{"runtime"}, "runtime %q does not exist%s", ref, nearest(ref, c.hint(c.n.hints.runtimes)))
		return nil
	}
	return usable(c, units[0])
}

func (c *check) accelerator(s *ServingSpec) *Accelerator {
	c.entry.names.accelerator = s.Accelerator
	if s.Accelerator == "" {
		if s.GPUs > 0 {
			c.fault([]string{"gpus"}, "gpus: %d without an accelerator; name one (have %s)", s.GPUs, some(c.hint(c.n.hints.accelerators)))
		}
		return nil
	}
	units := c.n.accelerators.named(s.Accelerator)
	if len(units) == 0 {
		c.fault([]string{"accelerator"}, "accelerator %q does not exist%s", s.Accelerator, nearest(s.Accelerator, c.hint(c.n.hints.accelerators)))
		return nil
	}
	if s.GPUs == 0 {
		c.fault([]string{"accelerator"}, "accelerator %s without gpus; write how many, or remove it", s.Accelerator)
	}
	return usable(c, units[0])
}

// smokeTest wants somebody who answers.
func (c *check) smokeTest(s *ServingSpec, rt *Runtime) {
	switch {
	case s.SmokeTest == nil:
	case rt != nil && rt.Spec.Service == "":
		c.fault([]string{"smokeTest"}, "smokeTest needs a Service, and runtime %s names none in %s", rt, rt.Path)
	case s.Replicas != nil && *s.Replicas == 0:
		c.fault([]string{"replicas"}, "replicas: 0 leaves nobody to answer the smokeTest; remove one of them")
	}
}

// dependsOn notes each dependency's place; whether it exists only the whole registry can tell.
func (c *check) dependsOn(s *ServingSpec) {
	seen := map[string]bool{}
	for i, name := range s.DependsOn {
		field := []string{"dependsOn", strconv.Itoa(i)}
		switch {
		case name == c.entry.key.Name:
			c.fault(field, "dependsOn names the release itself; remove it")
		case seen[name]:
			c.fault(field, "dependsOn names %q twice", name)
		default:
			file, line := c.at(field...)
			c.entry.depends = append(c.entry.depends, dependency{name, file, line})
		}
		seen[name] = true
	}
}

// smokePath says whether a path stays with the server: it goes behind the Service's own at the API server.
func smokePath(p string) bool {
	u, err := url.Parse(p)
	return err == nil && !slices.Contains(strings.Split(u.Path, "/"), "..")
}

// namesServer says that an address was written where a path is wanted.
func namesServer(path string) bool {
	return strings.HasPrefix(path, "//") || !strings.HasPrefix(path, "/") && (strings.Contains(path, "://") || strings.Contains(path, "@"))
}

// serve checks the values that need no other file.
func (c *check) serve(s *ServingSpec) {
	if s.GPUs < 0 {
		c.fault([]string{"gpus"}, "gpus: %d is less than 0", s.GPUs)
	}
	if s.Replicas != nil && *s.Replicas < 0 {
		c.fault([]string{"replicas"}, "replicas: %d is less than 0", *s.Replicas)
	}
	if s.SmokeTest != nil {
		switch at, path := []string{"smokeTest", "path"}, s.SmokeTest.Path; {
		case namesServer(path): // perhaps with a password, which is not said again
			c.fault(at, "smokeTest.path names a server; write the path alone, the release's own is asked")
		case !strings.HasPrefix(path, "/"):
			c.fault(at, "smokeTest.path %q does not start with /", path)
		case !smokePath(path):
			c.fault(at, "smokeTest.path %q leaves the server; write a path without \"..\" that begins with one /", path)
		}
	}
	for _, name := range sortedKeys(s.Resources) {
		if name != "cpu" && name != "memory" && name != "ephemeral-storage" {
			c.fault([]string{"resources", name}, "resource %q is not known here%s", name, nearest(name, []string{"cpu", "memory", "ephemeral-storage"}))
		}
	}
	for _, key := range sortedKeys(s.Args) {
		if !argName.ok(key) {
			c.fault([]string{"args", key}, "args: %q is not %s", key, argName.text)
		}
	}
	for _, name := range sortedKeys(s.Env) {
		if !envName.ok(name) {
			c.fault([]string{"env", name}, "env %q is not %s", name, envName.text)
		}
	}
}
