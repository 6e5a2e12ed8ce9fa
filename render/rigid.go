package render

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// softFields are the fields of a layer's kustomization that do the same whatever the release's name and the
// values of its fields are. Generators hash the name; replacements cut values up; a prefix makes names that
// stand nowhere.
var softFields = map[string]bool{
	"apiVersion": true, "kind": true, "metadata": true, "resources": true, "components": true, "patches": true,
	"labels": true, "commonAnnotations": true, "images": true, "replicas": true,
}

func rigidFields(root *yaml.Node) bool {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !softFields[root.Content[i].Value] {
			return true
		}
	}
	return false
}

// parse reads a file's documents and notes what of them a template has to know.
func (c *content) parse(name string, first int, data []byte) ([]*yaml.Node, error) {
	docs, err := parse(name, first, data)
	for _, doc := range docs {
		if doc.Kind == yaml.SequenceNode && operationsOf(doc, "copy")+operationsOf(doc, "move")+operationsOf(doc, "test") > 0 {
			c.rigid = true
		}
		c.note(doc)
	}
	return docs, err
}

// note collects the scalars that could name an object, and sees directives such as $patch, which compare values.
func (c *content) note(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Value != "" && len(n.Value) <= 253 && !strings.ContainsAny(n.Value, " /:\n") {
		c.names = append(c.names, n.Value)
	}
	for i, e := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			c.rigid = c.rigid || strings.HasPrefix(e.Value, "$")
			continue
		}
		c.note(e)
	}
}
