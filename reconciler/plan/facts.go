package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// fact is one line of what a change means: what, before, and after. From "" is told without an arrow.
type fact struct{ what, from, to string }

// facts are a release's, in the order people ask.
func (r Release) facts() (all []fact) {
	add := func(what string, e *Edit) {
		switch {
		case e == nil:
		case e.To == "":
			all = append(all, fact{what, e.From, "none"})
		case e.From == "" && r.Change != Add:
			all = append(all, fact{what, "none", e.To})
		default:
			all = append(all, fact{what, e.From, e.To})
		}
	}
	add("team", r.Moved)
	add("model", r.Model)
	for _, m := range r.Metrics {
		f := fact{what: m.Name, from: "", to: "not told"}
		if m.From != nil {
			f.from = number(*m.From)
		} else if r.Change != Add {
			f.from = "not told"
		}
		if m.To != nil {
			f.to = number(*m.To)
		}
		all = append(all, f)
	}
	if w := r.Weights; w != nil {
		switch {
		case w.From == "":
			all = append(all, fact{"weights", "", w.To})
		case w.From == w.To:
			all = append(all, fact{"weights", "", "others: " + w.To})
		default:
			all = append(all, fact{"weights", w.From, w.To})
		}
	}
	add("runtime", r.Runtime)
	add("accelerator", r.Accelerator)
	if g := r.GPUs; g != nil {
		f := fact{"GPUs", strconv.Itoa(g.From), fmt.Sprintf("%d (%+d)", g.To, g.To-g.From)}
		if r.Change == Add {
			f.from, f.to = "", strconv.Itoa(g.To)
		}
		all = append(all, f)
	}
	add("replicas", r.Replicas)
	add("rollout", r.Strategy)
	if i := r.Image; i != nil && (r.Weights != nil || r.From != r.To || r.Change == Add || i.State == NotBuilt) {
		text := i.State
		if i.State == NotAsked {
			text = "not asked whether it is built"
		}
		if i.Digest != "" {
			text += " " + i.Digest
		}
		all = append(all, fact{"image", "", text})
	}
	return all
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// version is what a release has and gets.
func (r Release) version() (from, to string) {
	if r.From == r.To || r.To == "" {
		return "", r.From
	}
	return r.From, r.To
}

// sign is how a change is marked in a list.
func (c Change) sign() string {
	switch c {
	case Add:
		return "+"
	case Remove:
		return "-"
	case Broken:
		return "!"
	}
	return "~"
}

// title says what a level's findings are.
func (l Level) title() string {
	return map[Level]string{
		Blocks: "This blocks", Look: "Look at this", Waits: "This waits", Later: "Checked before anything is applied",
		Tells: "Good to know", Holds: "Gates that are open",
	}[l]
}

// subject is the release a finding is about, and its gate; "" where the message says what it is about.
func (f Finding) subject() string { return strings.TrimSpace(f.Release + " " + f.Gate) }

// summary is the totals in a line.
func (p *Plan) summary() string {
	t := p.Totals
	text := fmt.Sprintf("%d to add, %d to change, %d to remove, %d broken", t.Add, t.Change, t.Remove, t.Broken)
	if t.Runs > 0 {
		text += "; " + counted(t.Runs, "training") + " to start"
	}
	if t.GPUs != 0 {
		text += fmt.Sprintf("; %+d GPUs", t.GPUs)
		if t.GPUs*t.GPUs == 1 {
			text = strings.TrimSuffix(text, "s")
		}
	}
	if o := t.Objects; o.Add+o.Change+o.Remove > 0 {
		text += fmt.Sprintf("; objects: %d new, %d changed, %d gone", o.Add, o.Change, o.Remove)
	}
	return text
}

// place is where a training runs; "" where its fault hides that.
func (t Training) place(name func(string) string) string {
	if t.Environment == "" {
		return ""
	}
	return " in " + name(t.Environment)
}

// event is what happens to a training, in a line.
func (t Training) event() string {
	switch {
	case t.Change == Broken:
		return "does not start: " + t.Note
	case t.Change == Remove:
		return "is removed; a run under way ends"
	case t.Schedule != "":
		return "waits for its schedule's next time (" + t.Schedule + "): it has no lock that fits its datasets"
	case t.Run == "" && t.Note != "":
		return "starts no run: " + t.Note
	case t.Run == "":
		return "changes in what makes no other run: nothing starts"
	}
	if t.Runs > 0 {
		return "starts " + t.sweeps()
	}
	if t.Relocked {
		return "trains again on new data, as scheduled: starts " + t.takes() + ", run " + t.Run
	}
	return "starts " + t.takes() + ", run " + t.Run
}
