package registry

import "io/fs"

// Line is where a file of the registry says something: the line of a field below spec, or of the deepest part of the
// way to it that is written; 1 for a file that can't be read. A part of the way through a list is the element's index.
func (r *Registry) Line(path string, field ...string) int {
	data, err := fs.ReadFile(r.fsys, path)
	if err != nil {
		return 1
	}
	c := newCache()
	doc, _ := c.parse(path, data)
	if doc == nil {
		return 1
	}
	return line(doc.spec, field...)
}
