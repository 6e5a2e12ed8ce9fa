package web

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// The plot's measures, in units of its drawing.
const (
	plotWidth, plotHeight = 560, 190
	plotLeft, plotRight   = 64, 545
	plotTop, plotBottom   = 14, 160
	mostPlotted           = 60 // versions, the newest
	fewPlots              = 3
)

// plotDrawing is one metric over versions with all places computed.
type plotDrawing struct {
	Metric        string
	Width, Height int
	Left, Right   int
	Line          string // the points of a polyline
	Points        []plotPoint
	Ticks         []plotTick
	Labels        []plotTick
	Told          string
}

type plotPoint struct {
	X, Y    int
	Version string
	Href    string
	Title   string
	Bad     bool
	Serves  bool
}

type plotTick struct {
	X, Y  int
	Label string
}

// plotted is which metrics of a model a page plots, and how.
type plotted struct {
	Choice []plotChoice
	Plots  []plotDrawing
	// Versions are those of the plots, oldest first.
	Versions []fleet.Version
	// Metrics are those that are plotted.
	Metrics []string
}

type plotChoice struct {
	Name string
	On   bool
}

// plots draws the metrics that a query names, or the first ones of a model.
func plots(m *fleet.Model, query url.Values) plotted {
	var out plotted
	wanted := query["metric"]
	for i, name := range m.Metrics {
		on := slices.Contains(wanted, name) || len(wanted) == 0 && i < fewPlots
		out.Choice = append(out.Choice, plotChoice{name, on})
		if on {
			out.Metrics = append(out.Metrics, name)
		}
	}
	out.Versions = slices.Clone(m.History[:min(len(m.History), mostPlotted)])
	slices.Reverse(out.Versions)
	for _, name := range out.Metrics {
		if p := plot(name, out.Versions); len(p.Points) > 0 {
			out.Plots = append(out.Plots, p)
		}
	}
	return out
}

// plot is one metric over versions, oldest first; a version that has none leaves a gap of its width.
func plot(metric string, versions []fleet.Version) plotDrawing {
	p := plotDrawing{Metric: metric, Width: plotWidth, Height: plotHeight, Left: plotLeft, Right: plotRight}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range versions {
		if y, ok := v.Metrics[metric]; ok && !math.IsNaN(y) && !math.IsInf(y, 0) {
			low, high = min(low, y), max(high, y)
		}
	}
	low, high, step := round(low, high)
	height := func(value float64) int {
		return plotBottom - int(math.Round((value-low)/(high-low)*(plotBottom-plotTop)))
	}
	var line, told []string
	gap := max(1, (len(versions)+9)/10) // labels that have room
	for i, v := range versions {
		x := (plotLeft + plotRight) / 2
		if n := len(versions) - 1; n > 0 {
			x = plotLeft + 12 + (plotRight-plotLeft-24)*i/n
		}
		if i%gap == 0 {
			p.Labels = append(p.Labels, plotTick{x, plotBottom + 18, shortened(v.Version)})
		}
		y, ok := v.Metrics[metric]
		if !ok || math.IsNaN(y) || math.IsInf(y, 0) {
			continue
		}
		at := plotPoint{X: x, Y: height(y), Version: v.Version, Href: "#" + anchor(v.Version), Title: v.Version + ": " + metric + " " + figure(y), Bad: v.Bad != nil, Serves: len(v.Serves) > 0}
		for _, s := range v.Serves {
			at.Title += ", in " + s.Environment + "/" + s.Release
		}
		if at.Bad {
			at.Title += ", marked bad"
		}
		p.Points = append(p.Points, at)
		line = append(line, fmt.Sprintf("%d,%d", at.X, at.Y))
		told = append(told, v.Version+" "+figure(y))
	}
	p.Line, p.Told = strings.Join(line, " "), metric+": "+strings.Join(told, ", ")
	for n := 0; n < 8 && len(p.Points) > 0; n++ {
		if value := low + float64(n)*step; value <= high+step/1000 {
			p.Ticks = append(p.Ticks, plotTick{plotLeft, height(value), figure(clean(value, step))})
		}
	}
	return p
}

// round widens a span to round numbers, so many that four to six lines stand between.
func round(low, high float64) (from, to, step float64) {
	if !(low <= high) {
		return 0, 1, 1
	}
	if high-low < 1e-9*math.Max(math.Abs(low), math.Abs(high)) || high == low {
		pad := math.Max(math.Abs(high)/20, 1e-6)
		low, high = low-pad, high+pad
	}
	step = math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, times := range []float64{1, 2, 5, 10} {
		if step*times >= (high-low)/4 {
			step *= times
			break
		}
	}
	return math.Floor(low/step) * step, math.Ceil(high/step) * step, step
}

// clean takes from a multiple of a step what adding it up has left.
func clean(value, step float64) float64 { return math.Round(value/step) * step }

// anchor is the place of a version on its model's page.
func anchor(version string) string { return "v-" + version }

func shortened(name string) string {
	if r := []rune(name); len(r) > 9 {
		return string(r[:8]) + "…"
	}
	return name
}

// many is a large number.
func many(n int64) string {
	for _, u := range []struct {
		of   int64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.of {
			return fmt.Sprintf("%.3g%s", float64(n)/float64(u.of), u.name)
		}
	}
	return fmt.Sprint(n)
}

// metricOf is what a version has of a metric.
func metricOf(v fleet.Version, name string) string {
	if value, ok := v.Metrics[name]; ok {
		return figure(value)
	}
	return "–"
}

// nodeName is what people call a node of a lineage, by its ID.
func nodeName(id string) string {
	kind, name, _ := strings.Cut(id, ":")
	return kind + " " + name
}
