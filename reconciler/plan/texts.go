package plan

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/render"
)

// Text is an object that differs, as the lines of its YAML.
type Text struct {
	Change Change `json:"change"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Lines  []Line `json:"lines"`
}

// Line is one line of a unified diff.
type Line struct {
	// Op is "+", "-", " " or, where lines are left out, "@".
	Op   string `json:"op"`
	Text string `json:"text"`
}

// around is how many lines that are the same stand around others, and mostLines how many an object may have before its
// text is told as a whole: comparing takes the square of it at worst.
const (
	around    = 3
	mostLines = 5000
)

// differing compares objects as YAML, what may be secret hidden.
func differing(from, to *render.Output) (out []Text) {
	was := known(from)
	for _, o := range known(to) {
		before := was.take(o)
		t := Text{Change: Modify, Kind: o.kind, Name: o.name}
		if before == nil {
			t.Change = Add
			t.Lines = unified(nil, o.lines())
		} else if len(differences(before.object, o.object)) > 0 {
			t.Lines = unified(before.lines(), o.lines())
		} else {
			continue
		}
		out = append(out, t)
	}
	for _, o := range was {
		if !o.taken {
			out = append(out, Text{Change: Remove, Kind: o.kind, Name: o.name, Lines: unified(o.lines(), nil)})
		}
	}
	return out
}

// lines are those of the object's YAML.
func (o *item) lines() []string {
	body, err := yaml.Marshal(masked(o.object))
	if err != nil {
		return []string{err.Error()} // what was rendered can be written
	}
	return strings.Split(strings.TrimRight(string(body), "\n"), "\n")
}

func unified(from, to []string) (out []Line) {
	add := func(op string, lines []string) {
		for _, text := range lines {
			out = append(out, Line{op, text})
		}
	}
	if len(from) > mostLines || len(to) > mostLines {
		add("-", from)
		add("+", to)
		return out
	}
	for i, group := range difflib.NewMatcher(from, to).GetGroupedOpCodes(around) {
		if i > 0 {
			out = append(out, Line{Op: "@"})
		}
		for _, c := range group {
			if c.Tag == 'e' {
				add(" ", from[c.I1:c.I2])
				continue
			}
			add("-", from[c.I1:c.I2])
			add("+", to[c.J1:c.J2])
		}
	}
	return out
}
