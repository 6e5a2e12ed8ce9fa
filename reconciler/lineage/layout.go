package lineage

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// The drawing's measures in pixels; text is of one width, charWidth for a letter of 12 pixels.
const (
	boxWidth   = 300
	lineHeight = 16
	padding    = 10
	gapX       = 90
	gapY       = 20
	margin     = 20
	charWidth  = 7.3
	maxFacts   = 4
)

// box is a node in its place.
type box struct {
	*Node
	layer      int
	x, y, h    int
	lines      []string
	mean       float64 // of the places of what leads to it
	forerunner bool
}

// layout puts nodes into columns, each right of all that leads to it, with the edges of cycles left out.
func (g *Graph) layout() (boxes []*box, width, height int) {
	at := map[string]*box{}
	for i := range g.Nodes {
		b := &box{Node: &g.Nodes[i]}
		b.lines = b.text()
		b.h = 2*padding + lineHeight*len(b.lines)
		boxes, at[b.ID] = append(boxes, b), b
	}
	for range boxes { // the longest way decides; a way has at most as many edges
		moved := false
		for _, e := range g.Edges {
			if from, to := at[e.From], at[e.To]; !e.Cycle && to.layer <= from.layer && from.layer+1 < len(boxes) {
				to.layer, moved = from.layer+1, true
			}
		}
		if !moved {
			break
		}
	}
	g.closer(at, boxes)
	layers := map[int][]*box{}
	last := 0
	for _, b := range boxes {
		layers[b.layer] = append(layers[b.layer], b)
		last = max(last, b.layer)
	}
	for l := 0; l <= last; l++ {
		bottom := g.stack(at, layers[l], l)
		height = max(height, bottom)
	}
	return boxes, 2*margin + (last+1)*boxWidth + last*gapX, height + margin
}

// closer moves what nothing leads to up to what it leads to: a dataset stands beside its run.
func (g *Graph) closer(at map[string]*box, boxes []*box) {
	next := map[string]int{}
	for _, e := range g.Edges {
		if e.Cycle {
			continue
		}
		at[e.To].forerunner = true
		if l, ok := next[e.From]; !ok || at[e.To].layer < l {
			next[e.From] = at[e.To].layer
		}
	}
	for _, b := range boxes {
		if l, ok := next[b.ID]; ok && !b.forerunner {
			b.layer = l - 1
		}
	}
}

// stack places a column, in the order of what leads there, and says where it ends.
func (g *Graph) stack(at map[string]*box, column []*box, layer int) (bottom int) {
	for _, b := range column {
		sum, n := 0, 0
		for _, e := range g.Edges {
			if e.To == b.ID && !e.Cycle {
				sum, n = sum+at[e.From].y, n+1
			}
		}
		if n > 0 {
			b.mean = float64(sum) / float64(n)
		}
	}
	slices.SortStableFunc(column, func(a, b *box) int { return cmp.Compare(a.mean, b.mean) })
	y := margin + titleHeight
	for _, b := range column {
		b.x, b.y = margin+layer*(boxWidth+gapX), y
		y += b.h + gapY
	}
	return y
}

// titleHeight is the room above the columns.
const titleHeight = 30

// text is what a box says: its kind, its name and the first facts, each as long as the box is wide.
func (b *box) text() (lines []string) {
	kind := b.Kind
	if b.Missing {
		kind += " (not in the registry)"
	}
	lines = append(lines, kind, fit(b.Name))
	for _, f := range b.Facts[:min(len(b.Facts), maxFacts)] {
		lines = append(lines, fit(f.Name+" "+f.Value))
	}
	return lines
}

func fit(s string) string {
	width := float64(boxWidth - 2*padding)
	most := int(width / charWidth)
	s = plain(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
