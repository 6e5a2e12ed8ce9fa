package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WithVersion finds a release's Release file in a tree and gives its text with another version, everything else as it
// stands: what a promotion or a rollback of the version alone changes. Whether there is such a version is for [Load] of
// the changed tree to say.
func WithVersion(fsys fs.FS, key Key, version string) (name string, text []byte, err error) {
	if !versionName.ok(version) {
		return "", nil, fmt.Errorf("version %q is not %s", version, versionName.text)
	}
	name, text, err = onlyFile(fsys, key.String(), func(team string) string {
		return path.Join(inTeam(team, "releases", key.Name).dir, key.Environment+".yaml")
	})
	if err != nil {
		return "", nil, err
	}
	text, err = setVersion(name, text, version)
	return name, text, err
}

// onlyFile finds the one file that something has, at the root or in a team's folder.
func onlyFile(fsys fs.FS, what string, in func(team string) string) (name string, text []byte, err error) {
	rd := &reader{fsys: fsys}
	for _, team := range append([]string{""}, rd.list("teams").folders()...) {
		file := in(team)
		data, err := fs.ReadFile(fsys, file)
		switch {
		case absent(err):
		case err != nil:
			return "", nil, fmt.Errorf("reading %s: %w", file, err)
		case name != "":
			return "", nil, fmt.Errorf("%s is in %s and in %s; names are unique over all teams", what, name, file)
		default:
			name, text = file, data
		}
	}
	if rd.err != nil {
		return "", nil, rd.err
	}
	if name == "" {
		return "", nil, fmt.Errorf("%s has no file %s", what, in(""))
	}
	return name, text, nil
}

// setVersion writes another version into the text of a Release file.
func setVersion(name string, text []byte, version string) ([]byte, error) {
	c := newCache()
	doc, faults := c.parse(name, text)
	if len(faults) > 0 {
		return nil, errors.New(faults[0].String())
	}
	at := find(doc.spec, "version")
	if at < 0 || doc.spec.Content[at+1].Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("%s:%d: spec.version is missing; write one", name, doc.spec.Line)
	}
	if node := doc.spec.Content[at+1]; quoteOf(node) == "" && !isText(version) {
		version = strconv.Quote(version)
	}
	return setScalar(name, text, "version", doc.spec.Content[at+1], version)
}

// setScalar writes another value of a field in the place of node, within its quotes, and leaves everything else as it
// stands.
func setScalar(name string, text []byte, field string, node *yaml.Node, value string) ([]byte, error) {
	lines := strings.SplitAfter(string(text), "\n")
	var before, rest string
	if node.Line <= len(lines) { // YAML has other ends of lines, too
		line := []rune(lines[node.Line-1]) // columns count characters
		at := min(node.Column-1, len(line))
		before, rest = string(line[:at]), string(line[at:])
	}
	quote := quoteOf(node)
	rest, ok := strings.CutPrefix(rest, quote+node.Value+quote)
	if !ok || node.Value == "" {
		return nil, fmt.Errorf("%s:%d: the %s is written in a way that can't be edited; write %s: %s", name, node.Line, field, field, node.Value)
	}
	lines[node.Line-1] = before + quote + value + quote + rest
	return []byte(strings.Join(lines, "")), nil
}

func quoteOf(node *yaml.Node) string {
	return map[yaml.Style]string{yaml.DoubleQuotedStyle: `"`, yaml.SingleQuotedStyle: "'"}[node.Style]
}

// isText says that YAML reads a bare word as text, and not as a number or a date.
func isText(word string) bool {
	var n yaml.Node
	return yaml.Unmarshal([]byte(word), &n) == nil && len(n.Content) == 1 && n.Content[0].Tag == "!!str"
}
