package render

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// overwriting is a patch that puts a list of its own in the place of a container's arguments, or a container of its
// own in the place of another: what was there is lost in silence.
type overwriting struct {
	place     string
	container string // "" stands for any: JSON6902 counts containers and does not name them
	what      string
}

// wholeList is a JSON6902 path to all arguments or variables of a container, to a container, or to all.
var wholeList = regexp.MustCompile(`/(containers|initContainers|model)(/(-|[0-9]+))?(/(args|env))?$`)

// overwrites notes what of a patch is an overwriting.
func (s *survey) overwrites(name string, doc *yaml.Node) {
	note := func(n *yaml.Node, container, what string) {
		s.overwritten = append(s.overwritten, overwriting{fmt.Sprintf("%s:%d", name, n.Line), container, what})
	}
	if doc.Kind == yaml.SequenceNode {
		for _, op := range doc.Content {
			kind, at := value(op, "op"), value(op, "path")
			match := wholeList.FindStringSubmatch(at.Value)
			if match == nil || kind.Value == "test" || kind.Value == "add" && match[5] == "" && match[2] != "" {
				continue // a container more
			}
			if kind.Value == "add" && strings.HasSuffix(at.Value, "/-") {
				continue
			}
			note(at, "", at.Value)
		}
		return
	}
	for _, above := range [][]string{nil, {"spec"}, {"spec", "template"}, {"spec", "template", "spec"}} {
		if at := value(doc, append(above, "$patch")...); at.Value == "replace" {
			note(at, "", "$patch: replace")
		}
	}
	for _, list := range []string{"containers", "initContainers"} {
		containers := value(doc, "spec", "template", "spec", list)
		for _, c := range containers.Content {
			container := value(c, "name").Value
			if args := value(c, "args"); args.Kind != 0 {
				note(args, container, "args")
			}
			if at := replaces(c); at != nil {
				note(at, container, "$patch: replace")
			}
			if at := value(c, "$patch"); at.Value == "delete" {
				note(at, container, removed)
			}
		}
	}
}

const removed = "$patch: delete"

// replaces finds a directive that drops what it stands beside.
func replaces(n *yaml.Node) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == "$patch" && n.Content[i+1].Value == "replace" {
			return c
		}
		if at := replaces(c); at != nil {
			return at
		}
	}
	return nil
}

// value is what a mapping has at a path of keys; a zero node for nothing.
func value(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		found := &yaml.Node{}
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

// lost refuses overwriting patches on containers that the base has. Of those only the server's can't be removed.
func (s *survey) lost(base []*unstructured.Unstructured, server string) error {
	for _, o := range s.overwritten {
		if o.what == removed && o.container != server {
			continue
		}
		if o.container == "" || hasContainer(base, o.container) {
			return fmt.Errorf("%s: %s replaces what the layers below say, in silence; write arguments, variables and resources in serving.yaml, or in the training's file, and patch single entries",
				o.place, o.what)
		}
	}
	return nil
}

func hasContainer(objects []*unstructured.Unstructured, name string) bool {
	for _, o := range objects {
		for _, list := range []string{"containers", "initContainers"} {
			containers, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", list)
			if named(containers, name) != nil {
				return true
			}
		}
	}
	return false
}
