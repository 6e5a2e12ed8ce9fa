package lineage

import (
	"fmt"
	"io"
	"strings"
)

// style is the drawing's look, in the light and in the dark. Colours of text have a contrast of at least 4.5 to 1.
const style = `
svg { font: 12px ui-monospace, Menlo, Consolas, monospace; background: #ffffff; }
.box { fill: #f6f8fa; stroke: #6e7781; }
.root .box { stroke: #0969da; stroke-width: 2.5; }
.missing .box { stroke-dasharray: 4 3; }
text { fill: #1f2328; }
.kind, .label { fill: #57606a; }
.name { font-weight: bold; }
.edge { fill: none; stroke: #6e7781; stroke-width: 1.5; }
.cycle { stroke: #cf222e; stroke-dasharray: 6 4; }
.head { fill: #6e7781; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
.box { fill: #161b22; stroke: #8b949e; }
.root .box { stroke: #58a6ff; }
text { fill: #e6edf3; }
.kind, .label { fill: #9da7b1; }
.edge { stroke: #8b949e; }
.cycle { stroke: #ff7b72; }
.head { fill: #8b949e; }
}
`

// SVG draws the graph from left to right: each thing right of all that it came of. The drawing stands alone and is the same
// for the same graph.
func (g *Graph) SVG(w io.Writer) error {
	var out strings.Builder
	boxes, width, height := g.layout()
	root := g.Node(g.Root).Name
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, "<title id=\"title\">Lineage of %s</title>\n<desc id=\"desc\">%s</desc>\n<style>%s</style>\n", escape(root), escape(g.told()), style)
	out.WriteString(arrowhead)
	fmt.Fprintf(&out, `<text class="name" x="%d" y="%d">Lineage of %s</text>`+"\n", margin, margin+lineHeight-4, escape(root))
	g.draw(&out, boxes, nil)
	out.WriteString("</svg>\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// Inline is the same drawing as a part of an HTML page, which has the style: it has no colours, nothing that a
// Content-Security-Policy forbids, and no heading. Nodes lead where link says, "" for nowhere; nothing leads anywhere when
// it is nil. Whatever names and facts say, what comes out is one svg element.
func (g *Graph) Inline(link func(Node) string) string {
	var out strings.Builder
	boxes, width, height := g.layout()
	fmt.Fprintf(&out, `<svg class="lineage" width="%d" height="%d" viewBox="0 %d %d %d" role="group" aria-label="%s">`+"\n",
		width, height-titleHeight, titleHeight, width, height-titleHeight, escape("Lineage of "+g.Node(g.Root).Name+": "+g.told()))
	out.WriteString(arrowhead)
	g.draw(&out, boxes, link)
	out.WriteString("</svg>\n")
	return out.String()
}

// arrowhead is what an edge ends with.
const arrowhead = `<defs><marker id="head" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" orient="auto"><path class="head" d="M0 0 10 5 0 10z"/></marker></defs>` + "\n"

// draw writes the edges and then the boxes.
func (g *Graph) draw(out *strings.Builder, boxes []*box, link func(Node) string) {
	at := map[string]*box{}
	for _, b := range boxes {
		at[b.ID] = b
	}
	leave, arrive := map[string]int{}, map[string]int{}
	for _, e := range g.Edges {
		leave[e.From]++
		arrive[e.To]++
	}
	for _, e := range g.Edges {
		e.draw(out, at[e.From], at[e.To], leave[e.From], arrive[e.To])
	}
	for _, b := range boxes {
		href := ""
		if link != nil {
			href = link(*b.Node)
		}
		if href != "" {
			fmt.Fprintf(out, `<a href="%s">`, escape(href))
		}
		b.draw(out, b.ID == g.Root)
		if href != "" {
			out.WriteString("</a>")
		}
	}
}

// told is the graph in a sentence, for who does not see it.
func (g *Graph) told() string {
	parts := make([]string, 0, len(g.Edges))
	for _, e := range g.Edges {
		from, to := g.Node(e.From), g.Node(e.To)
		parts = append(parts, fmt.Sprintf("%s %s, %s, %s %s", from.Kind, from.Name, e.Kind, to.Kind, to.Name))
	}
	if len(parts) == 0 {
		return "Nothing is known of where it comes from and what came of it."
	}
	return strings.Join(parts, "; ") + "."
}

// draw is a curve from the right side of one box to the left side of another. So many edges leave the one and arrive at the
// other: its label stands at the end that it has for itself, or in the middle.
func (e Edge) draw(out *strings.Builder, from, to *box, leave, arrive int) {
	x1, y1, x2, y2 := from.x+boxWidth, from.y+from.h/2, to.x, to.y+to.h/2
	class := "edge"
	if e.Cycle {
		class += " cycle"
	}
	title := e.Kind
	for _, f := range e.Facts {
		title += ", " + f.Name + " " + f.Value
	}
	bend := gapX * 2 / 3
	fmt.Fprintf(out, `<path class="%s" marker-end="url(#head)" d="M%d %d C%d %d %d %d %d %d"><title>%s</title></path>`+"\n",
		class, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, escape(title))
	x, y, anchor := x2-10, y2-5, "end"
	switch {
	case arrive > 1 && leave == 1:
		x, y, anchor = x1+6, y1-5, "start"
	case arrive > 1:
		x, y, anchor = (x1+x2)/2, (y1+y2)/2-5, "middle"
	}
	fmt.Fprintf(out, `<text class="label" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, escape(e.Kind))
}

func (b *box) draw(out *strings.Builder, root bool) {
	class := b.Kind
	if root {
		class += " root"
	}
	if b.Missing {
		class += " missing"
	}
	title := b.Kind + " " + b.Name
	for _, f := range b.Facts {
		title += "\n" + f.Name + ": " + f.Value
	}
	fmt.Fprintf(out, `<g class="%s"><title>%s</title><rect class="box" x="%d" y="%d" width="%d" height="%d" rx="6"/>`, class, escape(title), b.x, b.y, boxWidth, b.h)
	for i, line := range b.lines {
		class := ""
		switch i {
		case 0:
			class = ` class="kind"`
		case 1:
			class = ` class="name"`
		}
		fmt.Fprintf(out, `<text%s x="%d" y="%d">%s</text>`, class, b.x+padding, b.y+padding+lineHeight*(i+1)-4, escape(line))
	}
	out.WriteString("</g>\n")
}

// escape makes text of whatever a file says: no element, no attribute's end, no character that XML has no place for.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		if r == 0xfffe || r == 0xffff {
			return '�'
		}
		return []rune(plain(string(r)))[0]
	}, s)
	return escapes.Replace(s)
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
