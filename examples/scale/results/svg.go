package results

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The drawing's size and its two panels.
const (
	width, height = 1080, 460
	panelTop      = 90
	panelBottom   = 380
)

const style = `text{font:13px system-ui,sans-serif;fill:#222}.title{font-size:16px;font-weight:600}.note{font-size:12px;fill:#555}` +
	`.axis{stroke:#222;stroke-width:1}.grid{stroke:#ddd;stroke-width:1}`

// SVG draws first syncs as bars and promotion latencies as lines over the number of releases.
func (r *Results) SVG() string {
	d := &drawing{}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="davit at scale"><style>%s</style>`, width, height, style)
	d.printf(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	r.bars(d)
	r.lines(d)
	d.text(20, height-14, "start", "note", fmt.Sprintf("%s, %d cores, %s, Kubernetes %s on the same cores; %s",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Go, r.Machine.Kubernetes, r.Date.UTC().Format("2006-01-02")))
	d.printf("</svg>\n")
	return d.b.String()
}

// drawing is SVG being written.
type drawing struct{ b strings.Builder }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.b, format, args...) }

func (d *drawing) text(x, y float64, anchor, class, text string) {
	d.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, html.EscapeString(text))
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	d.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

// bars is the left panel: names, bars and their values, on a linear axis.
func (r *Results) bars(d *drawing) {
	const left, right = 200, 520
	d.text(20, 32, "start", "title", "First sync: writes to the API server per second")
	d.text(20, 52, "start", "note", "objects, and for davit and the plain writes each ModelRelease and its status")
	if len(r.Rates) == 0 {
		d.text(20, panelTop+20, "start", "note", "not measured in this run")
		return
	}
	rates := slices.SortedFunc(slices.Values(r.Rates), func(a, b Rate) int { return cmp.Compare(b.PerSec, a.PerSec) })
	most := rates[0].PerSec
	step := niceStep(most)
	top := math.Ceil(most/step) * step
	x := func(v float64) float64 { return left + (right-left)*v/top }
	for v := 0.0; v <= top+step/2; v += step {
		d.line(x(v), panelTop, x(v), panelBottom, "grid")
		d.text(x(v), panelBottom+18, "middle", "note", fmt.Sprintf("%.0f", v))
	}
	d.text((left+right)/2, panelBottom+38, "middle", "note", "writes per second")
	slot := float64(panelBottom-panelTop) / float64(len(rates))
	for i, rate := range rates {
		middle := panelTop + slot*(float64(i)+0.5)
		color := "#9aa5b1"
		if strings.HasPrefix(rate.Name, "davit") {
			color = "#0b6e99"
		}
		d.printf(`<rect x="%d" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, left, middle-slot*0.3, x(rate.PerSec)-left, slot*0.6, color)
		d.text(left-10, middle-3, "end", "", rate.Name)
		d.text(left-10, middle+13, "end", "note", thousands(rate.Releases)+" releases")
		d.value(x(rate.PerSec), middle+4, right, fmt.Sprintf("%.0f", rate.PerSec))
	}
	d.line(left, panelTop, left, panelBottom, "axis")
}

// value stands behind its bar, or in it where there is no room.
func (d *drawing) value(x, y, right float64, text string) {
	if x+35 < right+20 {
		d.text(x+6, y, "start", "", text)
		return
	}
	d.printf(`<text x="%.1f" y="%.1f" text-anchor="end" style="fill:#fff">%s</text>`, x-6, y, text)
}

// niceStep divides an axis up to most into about five round parts.
func niceStep(most float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, factor := range []float64{1, 2, 5} {
		if power*factor*5 >= most {
			return power * factor
		}
	}
	return power * 10
}
