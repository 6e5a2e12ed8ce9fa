package results

import (
	"fmt"
	"math"
)

// The right panel's edges.
const (
	lineLeft  = 640.0
	lineRight = 980.0
)

// lines is the right panel: promotion latency over the number of releases, both axes logarithmic.
func (r *Results) lines(d *drawing) {
	d.text(600, 32, "start", "title", "One-line promotion: commit to last object applied")
	d.text(600, 52, "start", "note", "both axes logarithmic")
	if len(r.Promotions) == 0 {
		d.text(600, panelTop+20, "start", "note", "not measured in this run")
		return
	}
	x, y := r.scales(d)
	for _, s := range []struct {
		name, color string
		below       float64 // how far the figure stands under its point
		value       func(Latency) float64
	}{
		{"p99", "#c2571a", -9, func(l Latency) float64 { return l.P99 }},
		{"p50", "#0b6e99", 20, func(l Latency) float64 { return l.P50 }},
	} {
		points := ""
		for _, p := range r.Promotions {
			px, py := x(float64(p.Releases)), y(s.value(p))
			points += fmt.Sprintf("%.1f,%.1f ", px, py)
			d.printf(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, px, py, s.color)
			d.text(px, py+s.below, "middle", "", fmt.Sprintf("%.0f", s.value(p)))
		}
		d.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, points, s.color)
		last := r.Promotions[len(r.Promotions)-1]
		d.printf(`<text x="%.1f" y="%.1f" style="fill:%s;font-weight:600">%s</text>`, x(float64(last.Releases))+12, y(s.value(last))+4, s.color, s.name)
	}
}

// scales draws the axes and returns where a value stands on them.
func (r *Results) scales(d *drawing) (x, y func(float64) float64) {
	low, high := math.Inf(1), 0.0
	least, most := math.Inf(1), 0.0
	for _, p := range r.Promotions {
		low, high = math.Min(low, p.P50), math.Max(high, p.P99)
		least, most = math.Min(least, float64(p.Releases)), math.Max(most, float64(p.Releases))
	}
	bottom, top := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high*1.2))
	x = func(v float64) float64 {
		if most == least {
			return (lineLeft + lineRight) / 2
		}
		return lineLeft + 25 + (lineRight-lineLeft-50)*math.Log10(v/least)/math.Log10(most/least)
	}
	y = func(v float64) float64 {
		return panelBottom - (panelBottom-panelTop)*(math.Log10(v)-bottom)/(top-bottom)
	}
	for power := bottom; power <= top; power++ {
		for _, digit := range []float64{1, 2, 5} {
			v := digit * math.Pow(10, power)
			if y(v) < panelTop-1 {
				break
			}
			d.line(lineLeft, y(v), lineRight, y(v), "grid")
			d.text(lineLeft-8, y(v)+4, "end", "note", fmt.Sprintf("%.0f ms", v))
		}
	}
	for _, p := range r.Promotions {
		d.text(x(float64(p.Releases)), panelBottom+18, "middle", "note", thousands(p.Releases))
	}
	d.text((lineLeft+lineRight)/2, panelBottom+38, "middle", "note", "releases in the registry")
	d.line(lineLeft, panelTop, lineLeft, panelBottom, "axis")
	d.line(lineLeft, panelBottom, lineRight, panelBottom, "axis")
	return x, y
}
