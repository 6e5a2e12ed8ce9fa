package registry

import (
	"path"
	"slices"
	"strings"
)

// trainingCheck checks one training, each fault at its line.
type trainingCheck struct {
	faultsOf
	n     *Registry
	entry *trainingEntry
	bad   bool // because of a file whose fault is told there
}

func (c *trainingCheck) hint(list func() []string) []string {
	c.entry.hinted = true
	return list()
}

// resolve finds what the training names.
func (c *trainingCheck) resolve(t *Training) {
	if len(c.n.root) == 0 || c.n.root[0].value == nil {
		c.bad = true
		return
	}
	t.Images = c.n.root[0].value.spec.Images
	t.Environment = c.environment(t.Spec.Environment)
	t.Accelerator = c.accelerator(&t.Spec)
	own := c.model(t.Model)
	if t.Spec.BaseVersion != "" {
		t.BaseVersion = c.baseVersion(t.Spec.BaseVersion, own)
	}
	if t.Environment == nil {
		return
	}
	c.capabilities(t)
	c.code(t)
}

func (c *trainingCheck) environment(name string) *Environment {
	c.entry.environment = name
	if name == "" {
		c.add([]string{"environment"}, "spec.environment is missing; name where it runs (have %s)", some(c.n.tree.environments))
		return nil
	}
	units := c.n.environments.named(name)
	if len(units) == 0 {
		c.add([]string{"environment"}, "environment %q does not exist%s", name, nearest(name, c.n.tree.environments))
		return nil
	}
	c.bad = c.bad || units[0].value == nil
	return units[0].value
}

func (c *trainingCheck) accelerator(s *TrainingSpec) *Accelerator {
	c.entry.accelerator = s.Accelerator
	if s.Accelerator == "" {
		if s.GPUs > 0 {
			c.add([]string{"gpus"}, "gpus: %d without an accelerator; name one (have %s)", s.GPUs, some(c.hint(c.n.hints.accelerators)))
		}
		return nil
	}
	units := c.n.accelerators.named(s.Accelerator)
	if len(units) == 0 {
		c.add([]string{"accelerator"}, "accelerator %q does not exist%s", s.Accelerator, nearest(s.Accelerator, c.hint(c.n.hints.accelerators)))
		return nil
	}
	c.bad = c.bad || units[0].value == nil
	return units[0].value
}

// model is nil for one with a fault, or that two teams have; that is told there.
func (c *trainingCheck) model(name string) *Model {
	units := c.n.models.named(name)
	if len(units) != 1 || units[0].value == nil {
		c.bad = true
		return nil
	}
	return units[0].value
}

func (c *trainingCheck) baseVersion(ref string, m *Model) *ModelVersion {
	version := ref
	if model, v, ok := strings.Cut(ref, "@"); ok {
		c.entry.base, version = model, v
		if len(c.n.models.named(model)) == 0 {
			c.add([]string{"baseVersion"}, "model %q does not exist%s", model, nearest(model, c.hint(c.n.hints.models)))
			return nil
		}
		m = c.model(model)
	}
	if m == nil {
		return nil
	}
	v := m.Versions[version]
	switch {
	case v != nil:
	case slices.Contains(m.faulty, version):
		c.add([]string{"baseVersion"}, "version %q of model %q has a fault; see %s", version, m.Name, path.Join(path.Dir(m.Path), "versions", version+".yaml"))
	default:
		c.add([]string{"baseVersion"}, "version %q of model %q does not exist (have %s)", version, m.Name, some(sortedKeys(m.Versions)))
	}
	return v
}

// capabilities are what the environment must declare.
func (c *trainingCheck) capabilities(t *Training) {
	if t.Spec.Queue != "" && !t.Environment.Spec.Capabilities.Has(Kueue) {
		c.add([]string{"queue"}, "queue needs Kueue, which environment %q does not declare; remove it, or write capabilities: {features: [%s]} in %s",
			t.Environment.Name, Kueue, t.Environment.Path)
	}
}

// code refuses a base version that carries code where the environment does not allow it by name.
func (c *trainingCheck) code(t *Training) {
	if t.BaseVersion == nil {
		return
	}
	for _, f := range t.BaseVersion.Spec.Files {
		if kind := CarriesCode(f.Path); kind != "" && !slices.Contains(t.Environment.Spec.AllowCode, kind) {
			c.add([]string{"baseVersion"}, "version %q of model %q has %s, which carries code (%s); convert it, to safetensors or ONNX say, or write allowCode: [%s] in %s",
				t.BaseVersion.Name, t.BaseVersion.Model, f.Path, kind, kind, t.Environment.Path)
			return
		}
	}
}
