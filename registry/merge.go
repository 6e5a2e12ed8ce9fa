package registry

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// merge lays over on top of base: mappings merge, null deletes, everything else replaces. Neither
// argument is changed; nodes keep the lines of the file they come from.
func merge(base, over *yaml.Node) *yaml.Node {
	if base == nil || base.Kind != yaml.MappingNode || over.Kind != yaml.MappingNode {
		return over
	}
	out := *base
	out.Content = append([]*yaml.Node(nil), base.Content...)
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		at := find(&out, key.Value)
		switch {
		case value.Tag == "!!null" && at >= 0:
			out.Content = append(out.Content[:at:at], out.Content[at+2:]...)
		case value.Tag == "!!null":
		case at >= 0:
			out.Content[at], out.Content[at+1] = key, merge(out.Content[at+1], value)
		default:
			out.Content = append(out.Content, key, value)
		}
	}
	return &out
}

// find is the index of a mapping's key in its Content, or -1.
func find(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// line is the line of a field below n, or that of the deepest part of the way that is there. A part of
// the way through a list is the element's index.
func line(n *yaml.Node, path ...string) int {
	at := max(n.Line, 1)
	for _, p := range path {
		if n.Kind == yaml.SequenceNode {
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(n.Content) {
				return at
			}
			n = n.Content[i]
			at = n.Line
			continue
		}
		i := find(n, p)
		if i < 0 {
			return at
		}
		at, n = n.Content[i].Line, n.Content[i+1]
	}
	return at
}
