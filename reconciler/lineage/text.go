package lineage

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Text writes the graph as a tree that people read: what the version was made from, and what came of it.
func (g *Graph) Text(w io.Writer) error {
	var b strings.Builder
	b.WriteString(g.label(g.Root, nil) + "\n")
	t := &tree{g: g, b: &b}
	t.section("made from", func(e Edge) (string, string) { return e.To, e.From })
	t.section("used by", func(e Edge) (string, string) { return e.From, e.To })
	if g.Cut {
		b.WriteString("there is more than is shown here\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tree writes one direction.
type tree struct {
	g    *Graph
	b    *strings.Builder
	ends func(Edge) (near, far string)
	told map[string]bool
}

func (t *tree) section(heading string, ends func(Edge) (near, far string)) {
	t.ends, t.told = ends, map[string]bool{t.g.Root: true}
	if len(t.from(t.g.Root)) == 0 {
		fmt.Fprintf(t.b, "%s: nothing that is known\n", heading)
		return
	}
	t.b.WriteString(heading + "\n")
	t.below(t.g.Root, "")
}

func (t *tree) from(id string) (out []Edge) {
	for _, e := range t.g.Edges {
		if near, _ := t.ends(e); near == id {
			out = append(out, e)
		}
	}
	return out
}

func (t *tree) below(id, indent string) {
	edges := t.from(id)
	for i, e := range edges {
		branch, more := "├─ ", "│  "
		if i == len(edges)-1 {
			branch, more = "└─ ", "   "
		}
		_, far := t.ends(e)
		again := t.told[far] && len(t.from(far)) > 0
		line := t.g.label(far, &e)
		switch {
		case e.Cycle:
			line += " (a cycle: it comes of itself; correct baseVersion)"
		case again:
			line += " (see above)"
		}
		fmt.Fprintf(t.b, "%s%s%s\n", indent, branch, line)
		if t.told[far] = true; !again && !e.Cycle {
			t.below(far, indent+more)
		}
	}
}

// label is a node on one line.
func (g *Graph) label(id string, by *Edge) string {
	n := g.Node(id)
	word := n.Kind
	if by != nil {
		switch by.Kind {
		case EdgeBase, EdgeServes, EdgeServed, EdgeStarts:
			word = by.Kind
		}
		if by.Kind == EdgeBase && by.From != id {
			word = "version"
		}
		if by.Kind == EdgeStarts {
			word = "training"
		}
	}
	text := word + " " + n.Name
	if by == nil {
		text = n.Name
	}
	if n.Missing {
		text += " (not in the registry)"
	}
	list := n.Facts
	if by != nil {
		list = append(list[:len(list):len(list)], by.Facts...)
	}
	parts := make([]string, len(list))
	for i, f := range list {
		parts[i] = f.Name + " " + f.Value
	}
	if len(parts) > 0 {
		text += "  " + strings.Join(parts, ", ")
	}
	return plain(text)
}

// plain is text on one line that changes nothing about a terminal, nor the order of letters.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '�'
		}
		return r
	}, s)
}
