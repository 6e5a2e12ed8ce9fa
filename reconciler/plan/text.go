package plan

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Bounds of what people read. JSON has everything.
const (
	maxFields  = 30  // of an object
	maxValue   = 160 // characters of a value
	maxGroups  = 200 // releases that differ each in its own way
	maxOfLevel = 50  // findings
)

// Text writes the plan for a terminal: nothing in it changes how the terminal works.
func (p *Plan) Text(out io.Writer) error {
	w := &strings.Builder{}
	if !p.Changes() {
		w.WriteString("no changes\n")
	} else {
		p.textFindings(w)
		groups := p.groups()
		for _, g := range groups[:min(len(groups), maxGroups)] {
			g.text(w)
		}
		if more := len(groups) - maxGroups; more > 0 {
			fmt.Fprintf(w, "… and %d more that differ each in its own way; name an environment or a release, or take -o json\n", more)
		}
		for _, t := range p.Trainings {
			fmt.Fprintf(w, "%-7s training %s%s %s\n", t.Change, clean(t.Training), t.place(clean), clean(t.event()))
		}
		fmt.Fprintf(w, "plan: %s\n", p.summary())
	}
	_, err := io.WriteString(out, w.String())
	return err
}

func (p *Plan) textFindings(w *strings.Builder) {
	for _, level := range levels {
		all := p.at(level)
		if len(all) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s:\n", level.title())
		if level == Holds {
			fmt.Fprintf(w, "  %s\n\n", clean(open(all)))
			continue
		}
		for _, f := range all[:min(len(all), maxOfLevel)] {
			subject := f.subject()
			if subject != "" {
				subject += ": "
			}
			fmt.Fprintf(w, "  %s%s\n", clean(subject), clean(f.Message))
			for _, field := range f.Fields[:min(len(f.Fields), maxFields)] {
				fmt.Fprintf(w, "    %s\n", field.line())
			}
			textMore(w, "    ", len(f.Fields)-maxFields, "field")
		}
		textMore(w, "  ", len(all)-maxOfLevel, "finding")
		w.WriteString("\n")
	}
}

func textMore(w *strings.Builder, indent string, more int, what string) {
	if more > 0 {
		fmt.Fprintf(w, "%s… and %s more; -o json has all\n", indent, counted(more, what))
	}
}

// at are the findings of a level.
func (p *Plan) at(level Level) (all []Finding) {
	for _, f := range p.Findings {
		if f.Level == level {
			all = append(all, f)
		}
	}
	return all
}

// open lists gates by release.
func open(all []Finding) string {
	var b strings.Builder
	for i, f := range all[:min(len(all), maxOfLevel)] {
		switch {
		case i == 0:
			b.WriteString(f.Release + ": ")
		case all[i-1].Release != f.Release:
			b.WriteString("; " + f.Release + ": ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(f.Gate)
	}
	if more := len(all) - maxOfLevel; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

func (g *group) text(w *strings.Builder) {
	line := fmt.Sprintf("%-7s %s", g.Change, g.Release.Release)
	switch from, to := g.version(); {
	case from != "":
		line += ": " + from + " → " + to
	case to != "":
		line += ": " + to
	}
	if g.Note != "" {
		line += "  " + g.Note
	}
	fmt.Fprintln(w, clean(line))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range g.facts() {
		value := f.to
		if f.from != "" {
			value = f.from + " → " + f.to
		}
		fmt.Fprintf(table, "    %s\t%s\n", clean(f.what), clean(cut(value)))
	}
	table.Flush()
	for _, o := range g.Objects {
		o.text(w)
	}
	if text := g.same(func(s string) string { return s }); text != "" {
		fmt.Fprintf(w, "    %s\n", clean(text))
	}
}

func (o Object) text(w *strings.Builder) {
	fmt.Fprintf(w, "    %s %s %s\n", o.Change.sign(), clean(o.Kind), clean(o.Name))
	if o.Change != Modify {
		return
	}
	fields := o.shown()
	if len(fields) == 0 {
		fmt.Fprintln(w, "        the labels of the version")
	}
	for _, f := range fields[:min(len(fields), maxFields)] {
		fmt.Fprintf(w, "        %s\n", f.line())
	}
	textMore(w, "        ", len(fields)-maxFields, "field")
}

// shown are the fields but for the labels that bear the version, which is told once for all.
func (o Object) shown() (fields []Field) {
	for _, f := range o.Fields {
		if !strings.HasSuffix(f.Path, `labels["davit.dev/version"]`) || f.From == nil || f.To == nil {
			fields = append(fields, f)
		}
	}
	return fields
}

// line is a field before and after.
func (f Field) line() string {
	switch {
	case f.From == nil && f.To == nil:
		return clean(f.Path)
	case f.From == nil:
		return clean("+ " + f.Path + ": " + cut(*f.To))
	case f.To == nil:
		return clean("- " + f.Path + ": " + cut(*f.From))
	}
	return clean(f.Path + ": " + cut(*f.From) + " → " + cut(*f.To))
}

// cut shortens what would make a line too long.
func cut(s string) string {
	if r := []rune(s); len(r) > maxValue {
		return fmt.Sprintf("%s… (%d characters)", string(r[:maxValue]), len(r))
	}
	return s
}

// clean is text on one line that changes nothing about a terminal, nor the order of letters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '�'
		}
		return r
	}, s)
}
