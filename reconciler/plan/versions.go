package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// versionFields are what a ModelVersion says of itself.
var versionFields = []string{
	"format", "architecture", "parameters", "precision", "quantization", "opset", "files", "metrics", "datasets", "lineage",
}

// SameVersion says that two registries tell the same of a version: but for comments and where its files are fetched from.
// One that is missing in one of them, or has a fault there, is told of elsewhere.
func SameVersion(before, after *registry.Registry, model, version string) bool {
	var specs []registry.ModelVersionSpec
	for _, in := range []*registry.Registry{before, after} {
		if m := in.Models[model]; m != nil && m.Versions[version] != nil {
			spec := m.Versions[version].Spec
			spec.Files = slices.Clone(spec.Files)
			for i := range spec.Files {
				spec.Files[i].Source = ""
			}
			specs = append(specs, spec)
		}
	}
	return len(specs) < 2 || reflect.DeepEqual(specs[0], specs[1])
}

// versions tells of those that say something else of themselves than before, which no object shows.
func (c *comparison) versions() error {
	for _, name := range slices.Sorted(maps.Keys(c.after.Models)) {
		versions := c.after.Models[name].Versions
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			if SameVersion(c.before, c.after, name, version) {
				continue
			}
			if _, matches := c.serving(name, version); !matches && !c.Match(registry.Key{}) {
				continue
			}
			f := Finding{Level: Look, Kind: KindVersion}
			was, is := c.before.Models[name].Versions[version].Path, versions[version].Path
			if _, err := c.edited(was, is, versionFields, &f); err != nil {
				return err
			}
			f.Message = fmt.Sprintf("this branch changes what %s@%s says of itself, in %s; a merged version never changes: make another one with davit add", name, version, is)
			c.plan.Findings = append(c.plan.Findings, f)
		}
	}
	return nil
}
