package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

func (p *Plan) releaseChunks() (chunks []chunk) {
	for _, g := range p.groups() {
		if g.Change == Broken {
			continue // it is told first of all, with the reason
		}
		c := chunk{text: g.markdown(), what: "release", count: 1 + len(g.others)}
		if g.Change != Remove && g.long() {
			c.details = g.diff()
		}
		chunks = append(chunks, c)
	}
	return chunks
}

func (g *group) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s", code(g.Release.Release))
	switch from, to := g.version(); {
	case from != "":
		fmt.Fprintf(&b, " %s → %s", code(from), code(to))
	case to != "":
		fmt.Fprintf(&b, " %s", code(to))
	}
	if word, ok := map[Change]string{Add: "new", Remove: "removed"}[g.Change]; ok {
		b.WriteString(" – " + word)
	}
	b.WriteString("\n\n")
	g.table(&b)
	shown := 0
	for _, o := range g.Objects {
		shown = o.markdown(&b, shown)
	}
	if len(g.Objects) > 0 {
		b.WriteString("\n")
	}
	if text := g.same(code); text != "" {
		fmt.Fprintf(&b, "%s.\n\n", strings.ToUpper(text[:1])+text[1:])
	}
	return b.String()
}

// table shows what the change means.
func (g *group) table(b *strings.Builder) {
	facts := g.facts()
	if len(facts) == 0 {
		return
	}
	edits := g.Change == Modify
	if edits {
		b.WriteString("| | before | after |\n|---|---|---|\n")
	} else {
		b.WriteString("| | |\n|---|---|\n")
	}
	for _, f := range facts {
		switch {
		case edits:
			fmt.Fprintf(b, "| %s | %s | %s |\n", cell(f.what), cell(f.from), cell(f.to))
		case f.from != "":
			fmt.Fprintf(b, "| %s | %s → %s |\n", cell(f.what), cell(f.from), cell(f.to))
		default:
			fmt.Fprintf(b, "| %s | %s |\n", cell(f.what), cell(f.to))
		}
	}
	b.WriteString("\n")
}

// markdown lists an object and its first fields; shown is how many the release has listed before and after.
func (o Object) markdown(b *strings.Builder, shown int) int {
	name := o.Kind + " " + code(o.Name)
	if !isPlain(o.Kind) {
		name = code(o.Kind) + " " + code(o.Name)
	}
	switch o.Change {
	case Add:
		fmt.Fprintf(b, "- new %s\n", name)
		return shown
	case Remove:
		fmt.Fprintf(b, "- removed %s\n", name)
		return shown
	}
	fields := o.shown()
	room := min(len(fields), max(shownFields-shown, 0))
	switch {
	case len(fields) == 0:
		fmt.Fprintf(b, "- %s: the labels of the version\n", name)
	case len(fields) == 1 && room == 1:
		fmt.Fprintf(b, "- %s: %s\n", name, fields[0].markdown())
	case room == 0:
		fmt.Fprintf(b, "- %s: %s\n", name, counted(len(fields), "field"))
	default:
		fmt.Fprintf(b, "- %s:\n", name)
		for _, f := range fields[:room] {
			fmt.Fprintf(b, "  - %s\n", f.markdown())
		}
		if more := len(fields) - room; more > 0 {
			fmt.Fprintf(b, "  - … and %s more\n", counted(more, "field"))
		}
	}
	return shown + room
}

// long says whether the list does not tell all of the objects.
func (g *group) long() bool {
	n := 0
	for _, o := range g.Objects {
		for _, f := range o.Fields {
			if n++; o.Change != Modify || f.From != nil && cut(*f.From) != *f.From || f.To != nil && cut(*f.To) != *f.To {
				return true
			}
		}
	}
	return n > shownFields
}

// diff is all of the objects' fields, by lines.
func (g *group) diff() (lines []string) {
	for _, o := range g.Objects {
		lines = append(lines, fmt.Sprintf("@@ %s%s %s @@", map[Change]string{Add: "new ", Remove: "removed "}[o.Change], clean(o.Kind), clean(o.Name)))
		for _, f := range o.Fields {
			path := ""
			if f.Path != "" {
				path = f.Path + ": "
			}
			if f.From != nil {
				lines = append(lines, marked("- ", path+*f.From)...)
			}
			if f.To != nil {
				lines = append(lines, marked("+ ", path+*f.To)...)
			}
		}
	}
	return lines
}

// marked are the lines of a text, each with a mark.
func marked(mark, text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, mark+clean(strings.TrimSuffix(line, "\n")))
	}
	return lines
}

// details folds a diff away; what is over the bound is left out, all of it when there is hardly any room.
func details(lines []string, bound int) string {
	wrap := func(lines []string, cut int) string {
		summary := fmt.Sprintf("The whole diff, %s", counted(len(lines)+cut, "line"))
		if cut > 0 {
			lines = append(lines[:len(lines):len(lines)], fmt.Sprintf("@@ %s more, left out for length @@", counted(cut, "line")))
		}
		return fmt.Sprintf("<details><summary>%s</summary>\n\n%s\n</details>\n\n", summary, fenced(lines))
	}
	if text := wrap(lines, 0); len(text) <= bound {
		return text
	}
	if bound < leastDetail {
		return ""
	}
	size, n := leastDetail/2, 0 // of what is around the lines
	for n < len(lines) && size+len(lines[n])+1 <= bound {
		size += len(lines[n]) + 1
		n++
	}
	told := slices.ContainsFunc(lines[:n], func(l string) bool { return !strings.HasPrefix(l, "@@") })
	if text := wrap(lines[:n], len(lines)-n); told && len(text) <= bound {
		return text
	}
	return ""
}

// Block writes a text as a block of Markdown under a title, in so many bytes: it may be anybody's.
func Block(w io.Writer, title, text string, limit int) error {
	lines := marked("  ", strings.TrimSpace(text))
	limit -= len(title) + leastDetail
	for i, l := range lines {
		if limit -= len(l) + 1; limit < 0 {
			lines = append(lines[:i:i], fmt.Sprintf("@@ %s more, left out for length @@", counted(len(lines)-i, "line")))
			break
		}
	}
	_, err := fmt.Fprintf(w, "\n#### %s\n\n%s", title, fenced(lines))
	return err
}
