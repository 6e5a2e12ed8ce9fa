package registry

import (
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where is the file and line that decide a field of one of r's releases: "version" in its Release, "model" or
// "accelerator" in the Release, the Serving or davit.yaml, whichever is the last to say; of "runtime" the environment's
// file, where the release leaves the version to it. A field that nothing sets is at the Serving's first line.
func (r *Registry) Where(release *Release, field string) (file string, at int) {
	layers := []struct {
		path string
		way  []string
	}{{release.Path, []string{field}}, {release.ServingPath, []string{field}}, {"davit.yaml", []string{"defaults", field}}}
	for _, l := range layers {
		value, at := r.value(l.path, l.way...)
		if value == nil {
			continue
		}
		if field == "runtime" && !strings.Contains(value.Value, "@") {
			return release.Environment.Path, r.Line(release.Environment.Path, "runtimes", value.Value)
		}
		return l.path, at
	}
	return release.ServingPath, 1
}

// value is what a file says of a field below spec, and its line; nil where it says nothing or null.
func (r *Registry) value(path string, way ...string) (n *yaml.Node, at int) {
	data, err := fs.ReadFile(r.fsys, path)
	if err != nil {
		return nil, 1
	}
	c := newCache()
	doc, _ := c.parse(path, data)
	if doc == nil {
		return nil, 1
	}
	n = doc.spec
	for _, key := range way {
		if n.Kind != yaml.MappingNode || !sets(n, key) {
			return nil, 1
		}
		i := find(n, key)
		at, n = n.Content[i].Line, n.Content[i+1]
	}
	return n, at
}
