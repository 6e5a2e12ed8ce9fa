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
	rd := &reader{fsys: fsys}
	for _, team := range append([]string{""}, rd.list("teams").folders()...) {
		file := path.Join(inTeam(team, "releases", key.Name).dir, key.Environment+".yaml")
		data, err := fs.ReadFile(fsys, file)
		switch {
		case absent(err):
		case err != nil:
			return "", nil, fmt.Errorf("reading %s: %w", file, err)
		case name != "":
			return "", nil, fmt.Errorf("%s is in %s and in %s; names are unique over all teams", key, name, file)
		default:
			name, text = file, data
		}
	}
	if rd.err != nil {
		return "", nil, rd.err
	}
	if name == "" {
		return "", nil, fmt.Errorf("%s has no file releases/%s/%s.yaml", key, key.Name, key.Environment)
	}
	text, err = setVersion(name, text, version)
	return name, text, err
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
	node := doc.spec.Content[at+1]
	lines := strings.SplitAfter(string(text), "\n")
	line := []rune(lines[node.Line-1]) // columns count characters
	before, rest := string(line[:node.Column-1]), string(line[node.Column-1:])
	old, quote := node.Value, map[yaml.Style]string{yaml.DoubleQuotedStyle: `"`, yaml.SingleQuotedStyle: "'"}[node.Style]
	rest, ok := strings.CutPrefix(rest, quote+old+quote)
	if !ok || old == "" {
		return nil, fmt.Errorf("%s:%d: the version is written in a way that can't be edited; write version: %s", name, node.Line, old)
	}
	if quote == "" && !isText(version) {
		version = strconv.Quote(version)
	}
	lines[node.Line-1] = before + quote + version + quote + rest
	return []byte(strings.Join(lines, "")), nil
}

// isText says that YAML reads a bare word as text, and not as a number or a date.
func isText(word string) bool {
	var n yaml.Node
	return yaml.Unmarshal([]byte(word), &n) == nil && len(n.Content) == 1 && n.Content[0].Tag == "!!str"
}
