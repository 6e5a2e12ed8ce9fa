package made

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// Serving is what a release serves, for a new version to be held against.
type Serving struct {
	Release registry.Key
	Version string
	Metrics map[string]float64
	// Gates are the bounds that a version must hold there: by them a metric is known to be better when it rises or falls.
	Gates map[string]registry.MetricGate
}

// ServingOf is what a release is to serve by the registry's files.
func ServingOf(r *registry.Release) Serving {
	s := Serving{Release: r.Key(), Version: r.ModelVersion.Name, Metrics: r.ModelVersion.Spec.Metrics, Gates: map[string]registry.MetricGate{}}
	strict := registry.Strict()
	for name, g := range gate.Gates(r, &strict).Metrics {
		if len(g.Tasks) == 0 || slices.Contains(g.Tasks, r.Model.Spec.Task) {
			s.Gates[name] = g
		}
	}
	return s
}

// What bounds a pull request's text: GitHub takes 65,536 characters, and people read less.
const (
	maxReleases = 10
	maxRows     = 20
)

// PullRequest is the title and, in Markdown, the text of the pull request that adds the version: what was trained, how
// long and on what, and its metrics against those that are served. Nothing in it is an element, a mention or a reference.
func (m Made) PullRequest(serving []Serving) (title, body string) {
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s of training %s made %s. Merging adds the version and changes no release by itself.\n\n",
		plan.Code(m.Run.Name), plan.Code(m.Training.Key()), plan.Code(m.String()))
	b.WriteString("|  |  |\n|---|---|\n")
	for _, row := range m.facts() {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	m.list(&b, "Hyperparameters", m.hyperparameters())
	m.list(&b, "Datasets", m.datasets())
	if m.Sweep != nil {
		m.Sweep.table(&b, m.Run.Hash)
	}
	m.metrics(&b, serving)
	m.removedList(&b)
	return m.Title(), b.String()
}

// facts are what was trained, and on what; second cells are Markdown.
func (m Made) facts() (rows [][2]string) {
	t := m.Training
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, inCell(value)})
		}
	}
	add("Spec", fmt.Sprintf("%s at %s", t.Path, m.Run.Commit))
	add("Trainer", t.Spec.Image)
	add("Base version", m.base())
	seed := ""
	if t.Spec.Seed != nil {
		seed = strconv.FormatInt(*t.Spec.Seed, 10)
	}
	add("Seed", seed)
	add("Ran in", m.Run.Environment)
	add("On", m.machines())
	add("Time", m.took())
	add("Image", m.Result.Digest)
	return rows
}

// machines is such as "2 nodes of 8 GPUs (h100)".
func (m Made) machines() string {
	t := m.Training
	text := counted(t.Nodes(), "node")
	if t.Spec.GPUs > 0 {
		text += " of " + counted(t.Spec.GPUs, "GPU")
	} else {
		text += " without GPUs"
	}
	if t.Spec.Accelerator != "" {
		text += " (" + t.Spec.Accelerator + ")"
	}
	return text
}

// took is from when to when, as far as it is known: the ledger's end may not be written yet.
func (m Made) took() string {
	began, ended := m.Run.Started, m.Run.Ended
	if ended.IsZero() {
		ended = m.Result.Ended
	}
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	switch {
	case began.IsZero() && ended.IsZero():
		return ""
	case began.IsZero():
		return "ended " + at(ended)
	case ended.IsZero():
		return "started " + at(began)
	}
	return fmt.Sprintf("%s, from %s to %s", max(0, ended.Sub(began)).Round(time.Second), at(began), at(ended))
}

func (m Made) hyperparameters() (out []string) {
	for _, name := range slices.Sorted(maps.Keys(m.Training.Spec.Hyperparameters)) {
		out = append(out, name+"="+m.Training.Spec.Hyperparameters[name].Value)
	}
	return out
}

func (m Made) datasets() (out []string) {
	for _, d := range m.Training.Datasets() {
		text := d.Name + " " + ends(d.URI)
		if d.SHA256 != "" {
			text += " sha256:" + d.SHA256
		}
		out = append(out, text)
	}
	return out
}

func (m Made) list(b *strings.Builder, heading string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", heading)
	for _, item := range items[:min(len(items), maxRows)] {
		fmt.Fprintf(b, "- %s\n", plan.Code(short(item)))
	}
	if n := len(items) - maxRows; n > 0 {
		fmt.Fprintf(b, "- and %d more\n", n)
	}
}

// inCell is a value as code in a table, where a bar would end the cell.
func inCell(s string) string { return plan.Code(strings.ReplaceAll(short(s), "|", "¦")) }

// maxValue bounds a value: a dataset's address may have thousands of characters.
const maxValue = 300

func short(s string) string {
	if r := []rune(s); len(r) > maxValue {
		return string(r[:maxValue]) + "…"
	}
	return s
}

// ends keeps an address' end, too: that is where a version or commit stands, and a sha256 has room after it.
func ends(s string) string {
	const each = 90
	if r := []rune(s); len(r) > 2*each {
		return string(r[:each]) + "…" + string(r[len(r)-each:])
	}
	return s
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
