package made

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// metrics is a table for each release, or one of the version alone when nothing serves the model.
func (m Made) metrics(b *strings.Builder, serving []Serving) {
	b.WriteString("\n**Metrics**\n\n")
	own := m.Result.Version.Metrics
	if len(own) == 0 {
		b.WriteString("The run told none.\n")
	}
	if len(serving) == 0 && len(own) > 0 {
		b.WriteString("No release serves this model yet.\n\n")
		table(b, "| metric | this |\n|---|---|\n", slices.Sorted(maps.Keys(own)), func(name string) string {
			return fmt.Sprintf("| %s | %s |\n", inCell(word(name)), figure(own[name]))
		})
	}
	for i, s := range serving[:min(len(serving), maxReleases)] {
		if i > 0 || len(own) == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "Against %s, which %s serves:\n\n", inCell(s.Version), inCell(s.Release.String()))
		names := slices.AppendSeq(slices.Collect(maps.Keys(own)), maps.Keys(s.Metrics))
		names = slices.AppendSeq(names, maps.Keys(s.Gates))
		slices.Sort(names)
		head := fmt.Sprintf("| metric | this | %s | change |\n|---|---|---|---|\n", inCell(s.Release.Environment))
		table(b, head, slices.Compact(names), func(name string) string { return m.row(s, name) })
	}
	if n := len(serving) - maxReleases; n > 0 {
		fmt.Fprintf(b, "\nAnd %s more.\n", counted(n, "release"))
	}
}

func table(b *strings.Builder, head string, names []string, row func(name string) string) {
	if len(names) == 0 {
		b.WriteString("Neither tells any.\n")
		return
	}
	b.WriteString(head)
	for _, name := range names[:min(len(names), maxRows)] {
		b.WriteString(row(name))
	}
	if n := len(names) - maxRows; n > 0 {
		fmt.Fprintf(b, "\nAnd %s more.\n", counted(n, "metric"))
	}
}

// row holds one metric against a release's.
func (m Made) row(s Serving, name string) string {
	is, has := m.Result.Version.Metrics[name]
	was, had := s.Metrics[name]
	cell := func(value float64, told bool) string {
		if !told {
			return "–"
		}
		return figure(value)
	}
	change := ""
	if has && had {
		change = changed(was, is, direction(s.Gates[name]))
	}
	if out := outside(s.Gates[name], is, has, was, had); out != "" {
		change = strings.TrimPrefix(change+", "+out, ", ")
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", inCell(word(name)), cell(is, has), cell(was, had), change)
}

// changed is a difference, and whether it is for the better where that is known.
func changed(was, is float64, better int) string {
	if is == was {
		return "same"
	}
	text := strconv.FormatFloat(is-was, 'g', 4, 64)
	if is > was {
		text = "+" + text
	}
	switch {
	case better == 0:
		return figureText(text)
	case (is > was) == (better > 0):
		return figureText(text) + " better"
	}
	return figureText(text) + " **worse**"
}

// direction is 1 for a metric that should be high, by its bounds, -1 for one that should be low, and 0 where they do not
// tell, or both ways.
func direction(g registry.MetricGate) int {
	high, low := g.Min != nil || g.MaxDropFromServing != nil, g.Max != nil || g.MaxRiseFromServing != nil
	switch {
	case high && !low:
		return 1
	case low && !high:
		return -1
	}
	return 0
}

// outside names the bound that a promotion would fail at now.
func outside(g registry.MetricGate, is float64, has bool, was float64, had bool) string {
	const rounding = 1e-9 // as the gates have it: 0.97 - 0.95 is not more than 0.02
	switch {
	case !has && (g.Min != nil || g.Max != nil || g.MaxDropFromServing != nil || g.MaxRiseFromServing != nil):
		return "the gate wants it"
	case !has:
		return ""
	case g.Min != nil && is < *g.Min:
		return "below the gate's min " + figure(*g.Min)
	case g.Max != nil && is > *g.Max:
		return "above the gate's max " + figure(*g.Max)
	case had && g.MaxDropFromServing != nil && was-is-*g.MaxDropFromServing > rounding:
		return "drops more than the gate's " + figure(*g.MaxDropFromServing)
	case had && g.MaxRiseFromServing != nil && is-was-*g.MaxRiseFromServing > rounding:
		return "rises more than the gate's " + figure(*g.MaxRiseFromServing)
	}
	return ""
}

// figure is a number as code: long ones look like hashes of commits to a forge.
func figure(f float64) string { return figureText(number(f)) }

func figureText(s string) string { return "`" + s + "`" }
