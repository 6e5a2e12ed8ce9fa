package registry

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (l *loader) releases() {
	for _, name := range l.folders("releases") {
		dir := path.Join("releases", name)
		if !l.named(path.Join(dir, "serving.yaml"), "release", name, releaseName) {
			continue
		}
		l.misnamed(dir, func(stem string) bool { return stem == "serving" || l.exists(path.Join("environments", stem)) })
		for _, env := range l.yamls(dir) {
			if l.isRelease(dir, env) {
				l.release(dir, name, env)
			}
		}
	}
	l.shared()
	slices.SortFunc(l.reg.Releases, func(a, b *Release) int { return a.Key().compare(b.Key()) })
}

// shared breaks releases of one name that two environments put into one namespace: each would take the
// other's objects.
func (l *loader) shared() {
	place := func(r *Release) string { return r.Environment.Spec.Namespace + "/" + r.Name }
	where := map[string][]*Release{}
	for _, r := range l.reg.Releases {
		where[place(r)] = append(where[place(r)], r)
	}
	l.reg.Releases = slices.DeleteFunc(l.reg.Releases, func(r *Release) bool {
		both := where[place(r)]
		if len(both) < 2 {
			return false
		}
		other := both[0]
		if other == r {
			other = both[1]
		}
		fault := Fault{r.Path, 1, fmt.Sprintf("environments %q and %q share the namespace %q, and %s would be in it twice; give each a namespace of its own",
			r.Environment.Name, other.Environment.Name, r.Environment.Spec.Namespace, r.Name)}
		l.report(fault)
		l.reg.Broken[r.Key()] = append(l.reg.Broken[r.Key()], fault)
		return true
	})
}

// isRelease tells a Release from the files of the release's Component that lie beside it: it is named
// after an environment, or says that it is a Release.
func (l *loader) isRelease(dir, name string) bool {
	if name == "serving" || name == "kustomization" {
		return false
	}
	if l.exists(path.Join("environments", name)) {
		return true
	}
	data, err := fs.ReadFile(l.fsys, path.Join(dir, name+".yaml"))
	return err == nil && releaseKind.Match(data)
}

var releaseKind = regexp.MustCompile(`(?m)^kind:\s*["']?Release\b`)

// release resolves one Release; its faults, and those of the files it stands on, make it broken.
func (l *loader) release(dir, name, envName string) {
	key := Key{envName, name}
	file, servingFile := path.Join(dir, envName+".yaml"), path.Join(dir, "serving.yaml")
	before := len(l.faults)
	r := &Release{Name: name, Dir: dir, Path: file, ServingPath: servingFile, Images: l.reg.Spec.Images}
	if !l.resolve(r, envName) {
		own := slices.Clone(l.faults[before:])
		if len(own) == 0 { // the fault stands in a shared file and is reported there
			own = append(own, Fault{file, 1, "a file this release needs has a fault"})
		}
		l.reg.Broken[key] = own
		return
	}
	l.reg.Releases = append(l.reg.Releases, r)
}

func (l *loader) resolve(r *Release, envName string) bool {
	if l.broken["davit.yaml"] {
		return false
	}
	servingDoc := l.serving(r)
	var spec ReleaseSpec
	doc := l.file(r.Path, "Release", r.Name, &spec)
	if doc == nil || servingDoc == nil {
		return false
	}
	r.VersionLine = line(doc.spec, "version")

	own := without(doc.spec, "version")
	merged := merge(merge(l.defaults, dropAlternatives(servingDoc.spec, own)), own)
	if faults := decode(r.Path, merged, &r.Serving); len(faults) > 0 {
		l.report(faults...)
		return false
	}
	for _, other := range l.folders("environments") {
		if other != envName {
			r.others = append(r.others, other)
		}
	}
	c := &check{l: l, path: r.Path, doc: doc, serving: servingDoc}
	r.Environment = c.environment(envName)
	r.Model, r.ModelVersion = c.version(r.Serving.Model, spec.Version)
	r.Runtime = c.runtime(r.Serving.Runtime, r.Environment)
	r.Accelerator = c.accelerator(&r.Serving)
	c.serve(&r.Serving)
	c.smokeTest(&r.Serving, r.Runtime)
	for _, d := range []string{r.Dir, path.Join(r.Dir, envName)} {
		if l.component(d) != "" {
			r.Components = append(r.Components, d)
		}
	}
	return c.ok()
}

// serving reads a release's Serving file, once per release folder in effect: a second environment's
// read of a faulty file adds the same faults, which are compacted.
func (l *loader) serving(r *Release) *document {
	if !l.exists(r.ServingPath) {
		l.report(Fault{r.ServingPath, 1, "file is missing; a release's folder holds serving.yaml beside its environments' files"})
		return nil
	}
	var spec ServingSpec
	return l.file(r.ServingPath, "Serving", r.Name, &spec)
}

// without is a mapping less some keys.
func without(n *yaml.Node, keys ...string) *yaml.Node {
	out := *n
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			out.Content = append(out.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &out
}

// alternatives are fields of which one at most holds; setting one in a Release removes the others of
// its Serving.
var alternatives = [][]string{{"replicas", "autoscale"}}

func dropAlternatives(serving, over *yaml.Node) *yaml.Node {
	for _, group := range alternatives {
		if slices.ContainsFunc(group, func(k string) bool { return find(over, k) >= 0 }) {
			serving = without(serving, group...)
		}
	}
	return serving
}

// check resolves a release's references, each fault at the line that names the thing.
type check struct {
	l            *loader
	path         string // the Release file
	doc, serving *document
	bad          bool
}

func (c *check) ok() bool { return !c.bad }

// fault reports at the field's line: in the Release where it is set there, else in the Serving.
func (c *check) fault(field []string, format string, args ...any) {
	c.bad = true
	doc := c.doc
	if find(doc.spec, field[0]) < 0 && find(c.serving.spec, field[0]) >= 0 {
		doc = c.serving
	}
	c.l.report(Fault{doc.path, line(doc.spec, field...), fmt.Sprintf(format, args...)})
}

func (c *check) environment(name string) *Environment {
	env := c.l.reg.Environments[name]
	if env == nil {
		c.bad = true
		if file := path.Join("environments", name, "environment.yaml"); !c.l.broken[file] {
			c.l.report(Fault{c.path, 1, fmt.Sprintf("environment %q does not exist%s", name, nearest(name, sortedKeys(c.l.reg.Environments)))})
		}
	}
	return env
}

func (c *check) version(model, version string) (*Model, *ModelVersion) {
	if model == "" {
		c.fault([]string{"model"}, "spec.model is missing; name the model that is served")
		return nil, nil
	}
	m := c.l.reg.Models[model]
	if m == nil {
		c.bad = true
		if !c.l.broken[path.Join("models", model, "model.yaml")] {
			c.fault([]string{"model"}, "model %q does not exist%s", model, nearest(model, sortedKeys(c.l.reg.Models)))
		}
		return nil, nil
	}
	if version == "" {
		c.fault([]string{"version"}, "spec.version is missing (have %s)", strings.Join(sortedKeys(m.Versions), ", "))
		return m, nil
	}
	v := m.Versions[version]
	if v == nil {
		file := path.Join("models", model, "versions", version+".yaml")
		if c.l.broken[file] {
			c.fault([]string{"version"}, "version %q of model %q has a fault; see %s", version, model, file)
		} else {
			c.fault([]string{"version"}, "version %q of model %q does not exist (have %s)", version, model, strings.Join(sortedKeys(m.Versions), ", "))
		}
	}
	return m, v
}

func (c *check) runtime(ref string, env *Environment) *Runtime {
	if ref == "" {
		c.fault([]string{"runtime"}, "spec.runtime is missing (have %s)", strings.Join(sortedKeys(c.l.reg.Runtimes), ", "))
		return nil
	}
	name, version, pinned := strings.Cut(ref, "@")
	if !pinned && env != nil {
		if version = env.Spec.Runtimes[name]; version == "" {
			c.fault([]string{"runtime"}, "runtime %q has no version here; write %q, or give it one under runtimes in %s", name, name+"@VERSION", env.Path)
			return nil
		}
	}
	rt := c.l.reg.Runtimes[name+"@"+version]
	if rt == nil && (pinned || env != nil) {
		c.bad = true
		if !c.l.broken[path.Join("runtimes", name, version, "runtime.yaml")] {
			c.fault([]string{"runtime"}, "runtime %q does not exist%s", name+"@"+version, nearest(name+"@"+version, sortedKeys(c.l.reg.Runtimes)))
		}
	}
	return rt
}

func (c *check) accelerator(s *ServingSpec) *Accelerator {
	if s.Accelerator == "" {
		if s.GPUs > 0 {
			c.fault([]string{"gpus"}, "gpus: %d without an accelerator; name one (have %s)", s.GPUs, strings.Join(sortedKeys(c.l.reg.Accelerators), ", "))
		}
		return nil
	}
	acc := c.l.reg.Accelerators[s.Accelerator]
	if acc == nil {
		c.bad = true
		if !c.l.broken[path.Join("accelerators", s.Accelerator, "accelerator.yaml")] {
			c.fault([]string{"accelerator"}, "accelerator %q does not exist%s", s.Accelerator, nearest(s.Accelerator, sortedKeys(c.l.reg.Accelerators)))
		}
	}
	return acc
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

// serve checks the values that need no other file.
func (c *check) serve(s *ServingSpec) {
	if s.GPUs < 0 {
		c.fault([]string{"gpus"}, "gpus: %d is less than 0", s.GPUs)
	}
	if s.Replicas != nil && *s.Replicas < 0 {
		c.fault([]string{"replicas"}, "replicas: %d is less than 0", *s.Replicas)
	}
	if known := []string{"inPlace", "surge", "recreate"}; s.Rollout.Strategy != "" && !slices.Contains(known, s.Rollout.Strategy) {
		c.fault([]string{"rollout", "strategy"}, "rollout strategy %q is not known%s", s.Rollout.Strategy, nearest(s.Rollout.Strategy, known))
	}
	if s.SmokeTest != nil && !strings.HasPrefix(s.SmokeTest.Path, "/") {
		c.fault([]string{"smokeTest", "path"}, "smokeTest.path %q does not start with /", s.SmokeTest.Path)
	}
	for _, name := range sortedKeys(s.Resources) {
		if name != "cpu" && name != "memory" && name != "ephemeral-storage" {
			c.fault([]string{"resources", name}, "resource %q is not known here%s", name, nearest(name, []string{"cpu", "memory", "ephemeral-storage"}))
		}
	}
	for _, name := range sortedKeys(s.Env) {
		if !envName.ok(name) {
			c.fault([]string{"env", name}, "env %q is not %s", name, envName.text)
		}
	}
}
