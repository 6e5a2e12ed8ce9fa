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

// WithAttempt finds the file of a training, "model/name", in a tree and gives its text with the next attempt, everything
// else as it stands: what has a spec run once more.
func WithAttempt(fsys fs.FS, key string) (name string, text []byte, err error) {
	model, training, ok := strings.Cut(key, "/")
	if !ok || !dnsLabel.ok(model) || !trainingName.ok(training) {
		return "", nil, fmt.Errorf("%q is not MODEL/NAME, such as iris/finetune", key)
	}
	name, text, err = onlyFile(fsys, key, func(team string) string {
		return path.Join(trainingsOf(inTeam(team, "models", model)).dir, training+".yaml")
	})
	if err != nil {
		return "", nil, err
	}
	text, err = nextAttempt(name, text)
	return name, text, err
}

// nextAttempt raises the attempt in the text of a Training's file, or writes the first one before the first field.
func nextAttempt(name string, text []byte) ([]byte, error) {
	c := newCache()
	doc, faults := c.parse(name, text)
	if len(faults) > 0 {
		return nil, errors.New(faults[0].String())
	}
	at := find(doc.spec, "attempt")
	if at < 0 {
		return firstAttempt(name, text, doc.spec)
	}
	node := doc.spec.Content[at+1]
	n, err := strconv.Atoi(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil || n < 0 || quoteOf(node) != "" {
		return nil, fmt.Errorf("%s:%d: the attempt is written in a way that can't be edited; write attempt: 1", name, node.Line)
	}
	return setScalar(name, text, "attempt", node, strconv.Itoa(n+1))
}

// firstAttempt puts the field before the first one: a block, in its line and at its depth, and within the braces of a
// spec that is in one line.
func firstAttempt(name string, text []byte, spec *yaml.Node) ([]byte, error) {
	if len(spec.Content) == 0 {
		return nil, fmt.Errorf("%s:%d: the spec is empty", name, spec.Line)
	}
	first := spec.Content[0]
	lines := strings.SplitAfter(string(text), "\n")
	line := []rune(lines[first.Line-1])
	before, rest := string(line[:first.Column-1]), string(line[first.Column-1:])
	between := ", "
	if spec.Style&yaml.FlowStyle == 0 {
		end := "\n"
		if strings.HasSuffix(rest, "\r\n") {
			end = "\r\n"
		}
		between = end + before
	}
	lines[first.Line-1] = before + "attempt: 1" + between + rest
	return []byte(strings.Join(lines, "")), nil
}
