package plan

import (
	"fmt"
	"io"
	"strings"
)

// MaxMarkdown is how many bytes Markdown writes at most. GitHub takes 65,536 characters in a comment; the rest is for who
// puts something before and after it.
const MaxMarkdown = 60_000

const (
	shownFields = 8    // of a release, before the whole is folded away
	tail        = 400  // bytes for what is told of what is left out
	leastDetail = 600  // bytes below which a folded diff is not begun
	manyDetails = 8000 // bytes that a folded diff gets as long as there are any
	maxMessage  = 400  // characters of a finding
)

// Markdown writes the plan for a pull request, in MaxMarkdown bytes. Nothing in it that comes from files is alive.
func (p *Plan) Markdown(w io.Writer) error { return p.MarkdownWithin(w, MaxMarkdown) }

// MarkdownWithin is Markdown in so many bytes, which should be some thousands. What has no room is left out from the end,
// and that is told.
func (p *Plan) MarkdownWithin(w io.Writer, limit int) error {
	_, err := io.WriteString(w, p.markdown(limit))
	return err
}

// chunk is a piece of a page that is left out as a whole.
type chunk struct {
	text    string
	details []string // a diff to be folded away, by lines
	what    string   // it tells of: finding, release or training
	count   int
}

func (p *Plan) markdown(limit int) string {
	if !p.Changes() {
		return "### davit plan: no changes\n\nWhat is rendered and run stays as it is.\n"
	}
	chunks := append(p.findingChunks(), p.releaseChunks()...)
	chunks = append(chunks, p.trainingChunks()...)
	head := "### davit plan: " + p.headline() + "\n\n"
	foot := prose(p.summary()) + "\n"
	room := limit - len(head) - len(foot) - tail
	spare := room
	folds := 0 // that share what is spare
	for _, c := range chunks {
		if spare -= len(c.text); len(c.details) > 0 {
			folds++
		}
	}
	var b strings.Builder
	b.WriteString(head)
	left := map[string]int{}
	folded, full := 0, false
	for _, c := range chunks {
		if full = full || len(c.text) > room; full {
			left[c.what] += c.count
			continue
		}
		b.WriteString(c.text)
		room -= len(c.text)
		if len(c.details) == 0 {
			continue
		}
		block := details(c.details, max(spare/folds, min(spare, manyDetails)))
		folds--
		if block == "" {
			folded++
		}
		b.WriteString(block)
		room, spare = room-len(block), spare-len(block)
	}
	b.WriteString(foot)
	b.WriteString(leftOut(left, folded))
	return b.String()
}

// leftOut tells what had no room.
func leftOut(left map[string]int, folded int) string {
	var parts []string
	for _, what := range []string{"finding", "release", "training"} {
		if n := left[what]; n > 0 {
			parts = append(parts, counted(n, what))
		}
	}
	if folded > 0 {
		parts = append(parts, fmt.Sprintf("the whole diffs of %s", counted(folded, "release")))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("\n**Left out for length:** %s. `davit plan -o json` has all.\n", strings.Join(parts, ", "))
}

// headline counts what there is.
func (p *Plan) headline() string {
	t := p.Totals
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{t.Add, "to add"}, {t.Change, "to change"}, {t.Remove, "to remove"}, {t.Broken, "broken"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if t.Runs > 0 {
		parts = append(parts, counted(t.Runs, "training")+" to start")
	}
	if len(parts) == 0 {
		parts = append(parts, "no release changes")
	}
	text := strings.Join(parts, ", ")
	if n := len(p.at(Blocks)); n > 0 {
		text += fmt.Sprintf(" – %s in the way", counted(n, "finding"))
	}
	return text
}

var symbols = map[Level]string{Blocks: "⛔", Look: "👀", Waits: "⏳", Later: "🔎", Tells: "ℹ️", Holds: "✅"}

func (p *Plan) findingChunks() (chunks []chunk) {
	for _, level := range levels {
		all := p.at(level)
		if len(all) == 0 {
			continue
		}
		title := fmt.Sprintf("%s **%s**\n\n", symbols[level], level.title())
		if level == Holds {
			chunks = append(chunks, chunk{text: title + "- " + prose(open(all)) + "\n\n", what: "finding", count: len(all)})
			continue
		}
		for i, f := range all {
			c := chunk{text: f.markdown(), what: "finding", count: 1}
			if i == 0 {
				c.text = title + c.text
			}
			if i == len(all)-1 {
				c.text += "\n"
			}
			chunks = append(chunks, c)
		}
	}
	return chunks
}

func (f Finding) markdown() string {
	var b strings.Builder
	b.WriteString("- ")
	if f.Release != "" {
		fmt.Fprintf(&b, "**%s** ", code(f.Release))
	}
	if f.Gate != "" {
		fmt.Fprintf(&b, "%s: ", code(f.Gate))
	}
	message := f.Message
	if r := []rune(message); len(r) > maxMessage {
		message = string(r[:maxMessage]) + "…"
	}
	b.WriteString(prose(message) + "\n")
	for _, field := range f.Fields[:min(len(f.Fields), maxFields)] {
		fmt.Fprintf(&b, "  - %s\n", field.markdown())
	}
	if more := len(f.Fields) - maxFields; more > 0 {
		fmt.Fprintf(&b, "  - … and %s more\n", counted(more, "field"))
	}
	return b.String()
}

// markdown is a field before and after.
func (f Field) markdown() string {
	switch {
	case f.From == nil && f.To == nil:
		return code(f.Path)
	case f.From == nil:
		return code(f.Path) + " new: " + code(cut(*f.To))
	case f.To == nil:
		return code(f.Path) + " gone: " + code(cut(*f.From))
	}
	return code(f.Path) + " " + code(cut(*f.From)) + " → " + code(cut(*f.To))
}

func (p *Plan) trainingChunks() (chunks []chunk) {
	for i, t := range p.Trainings {
		c := chunk{text: fmt.Sprintf("- **%s**%s %s\n", code(t.Training), t.place(code), prose(t.event())), what: "training", count: 1}
		if i == 0 {
			c.text = "#### Trainings\n\n" + c.text
		}
		if i == len(p.Trainings)-1 {
			c.text += "\n"
		}
		chunks = append(chunks, c)
	}
	return chunks
}
