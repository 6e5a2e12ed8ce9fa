package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// The strip's measures, in units of its drawing: wide enough to read at the width of a screen, and scrolled on a narrow one.
const (
	stripWidth = 1200
	stripLeft  = 110 // of time; names of environments stand before it
	stripRight = 1190
	markStep   = 15
	fewRows    = 2
	laneHeight = 16
	mostLanes  = 12
)

// stripDrawing is the timeline's strip with all places computed.
type stripDrawing struct {
	Width, Height, Left, Right, Axis int
	// Since and Until are what a page that zooms by dragging goes by, in milliseconds.
	Since, Until int64
	Ticks        []stripTick
	Marks        []stripMark
	Lanes        []stripLane
	// Told is the drawing in a sentence.
	Told string
}

type stripTick struct {
	X     int
	Label string
}

type stripMark struct {
	X, Y     int
	State    fleet.State
	Sign     string
	Href     string
	Title    string
	Selected bool
	More     bool // it stands for several, which are a number
}

type stripLane struct {
	Name string
	Y    int
	Bars []stripBar
}

type stripBar struct {
	X, Width int
	Title    string
	Href     string
}

// draw places what a timeline tells of its span.
func draw(t *fleet.Timeline, query map[string]string) *stripDrawing {
	s := &stripDrawing{Width: stripWidth, Left: stripLeft, Right: stripRight, Since: t.Since.UnixMilli(), Until: t.Until.UnixMilli()}
	rows := fewRows
	for _, m := range t.Strip {
		rows = max(rows, min(m.Count, len(m.Commits)))
	}
	s.Axis = rows*markStep + 10
	for _, m := range t.Strip {
		s.mark(m, t, query)
	}
	s.lanes(t, query)
	s.Height = s.Axis + 26 + laneHeight*len(s.Lanes)
	s.Ticks = ticks(t.Since, t.Until)
	commits := 0
	for _, m := range t.Strip {
		commits += m.Count
	}
	s.Told = fmt.Sprintf("%s from %s to %s; %s", plural(commits, "commit"), minute(t.Since), minute(t.Until), plural(len(t.Troubles), "period", "of failure"))
	return s
}

// x is the place of a time.
func (s *stripDrawing) x(at time.Time) int {
	share := float64(at.UnixMilli()-s.Since) / float64(max(s.Until-s.Since, 1))
	return s.Left + int(math.Round(min(max(share, 0), 1)*float64(s.Right-s.Left)))
}

// mark puts the commits of a stretch above each other, the newest at the bottom; where they are too many, the last place leads to
// them alone.
func (s *stripDrawing) mark(m fleet.Mark, t *fleet.Timeline, query map[string]string) {
	x := s.x(m.From.Add(m.Until.Sub(m.From) / 2))
	shown := m.Commits
	if m.Count > len(m.Commits) {
		shown = shown[:len(shown)-1]
	}
	for i, c := range shown {
		s.Marks = append(s.Marks, stripMark{
			X: x, Y: s.Axis - 10 - i*markStep, State: c.State, Sign: mark(c.State), Href: with(query, "commit", c.Commit[:12]) + "#commit",
			Title:    fmt.Sprintf("%s, %s: %s (%s)", minute(c.When), c.Author, c.Subject, c.State),
			Selected: t.Commit != nil && t.Commit.Commit == c.Commit,
		})
	}
	if more := m.Count - len(shown); more > 0 {
		s.Marks = append(s.Marks, stripMark{
			X: x, Y: s.Axis - 10 - len(shown)*markStep, State: m.State, Sign: "+" + strconv.Itoa(min(more, 99)), More: true, Href: between(query, m.From, m.Until),
			Title: fmt.Sprintf("%s more from %s to %s; zoom in", plural(more, "commit"), minute(m.From), minute(m.Until)),
		})
	}
}

// lanes are the environments that have failures, each with a bar for each of them.
func (s *stripDrawing) lanes(t *fleet.Timeline, query map[string]string) {
	of := map[string][]fleet.Trouble{}
	for _, trouble := range t.Troubles {
		of[trouble.Environment] = append(of[trouble.Environment], trouble)
	}
	for i, name := range slices.Sorted(maps.Keys(of)) {
		if i == mostLanes {
			return
		}
		lane := stripLane{Name: name, Y: s.Axis + 24 + i*laneHeight}
		for _, trouble := range of[name] {
			from, until := s.x(trouble.From), s.Right
			lasts := "to now"
			if !trouble.Until.IsZero() {
				until, lasts = s.x(trouble.Until), "to "+minute(trouble.Until)
			}
			lane.Bars = append(lane.Bars, stripBar{
				from, max(until-from, 3), fmt.Sprintf("%s %s failed, %s %s (%s)", trouble.Release, trouble.Version, minute(trouble.From), lasts, cmp.Or(trouble.Reason, "no reason noted")),
				with(query, "commit", trouble.Commit[:12]) + "#commit",
			})
		}
		s.Lanes = append(s.Lanes, lane)
	}
}

// steps are the distances that ticks may have.
var steps = []time.Duration{
	5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour,
	14 * 24 * time.Hour, 30 * 24 * time.Hour, 91 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// ticks are round times, in UTC, so many that their labels have room.
func ticks(since, until time.Time) (out []stripTick) {
	s := &stripDrawing{Left: stripLeft, Right: stripRight, Since: since.UnixMilli(), Until: until.UnixMilli()}
	span := until.Sub(since)
	step := span / 9
	if i := slices.IndexFunc(steps, func(d time.Duration) bool { return d >= step }); i >= 0 {
		step = steps[i]
	}
	layout := "15:04"
	switch {
	case step >= 300*24*time.Hour:
		layout = "2006"
	case step >= 24*time.Hour:
		layout = "Jan 2"
	case span > 24*time.Hour:
		layout = "Jan 2 15:04"
	case step < time.Minute:
		layout = time.TimeOnly
	}
	for at := since.UTC().Truncate(step).Add(step); step > 0 && at.Before(until); at = at.Add(step) {
		if x := s.x(at); x < s.Right-30 {
			out = append(out, stripTick{x, at.Format(layout)})
		}
	}
	return out
}

// zoom is a way to another span of time.
type zoom struct {
	Title, Href string
	Current     bool
}

// zooms are the spans that a strip leads to.
func zooms(t *fleet.Timeline, query map[string]string) (out []zoom) {
	for _, z := range []struct{ title, since string }{{"1 hour", "1h"}, {"last night (12 h)", "12h"}, {"24 hours", "24h"}, {"7 days", "7d"}, {"30 days", "30d"}, {"all", ""}} {
		without := maps.Clone(query)
		delete(without, "until")
		out = append(out, zoom{z.title, with(without, "since", z.since), query["since"] == z.since && query["until"] == ""})
	}
	width := t.Until.Sub(t.Since)
	earlier, later := t.Since.Add(-width/2), t.Until.Add(width/2)
	return append(out,
		zoom{"← earlier", between(query, earlier, t.Until.Add(-width/2)), false}, zoom{"later →", between(query, t.Since.Add(width/2), later), false},
		zoom{"zoom in", between(query, t.Since.Add(width/4), t.Until.Add(-width/4)), false}, zoom{"zoom out", between(query, earlier, later), false})
}

// between is a page's query with a span of time.
func between(query map[string]string, since, until time.Time) string {
	q, _ := url.ParseQuery(with(query, "since", since.UTC().Format(time.RFC3339))[1:])
	q.Set("until", until.UTC().Add(time.Second-1).Format(time.RFC3339))
	q.Del("commit")
	return "?" + q.Encode()
}

// minute is a time as titles have it.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// plural is a number of things.
func plural(n int, what string, more ...string) string {
	text := strconv.Itoa(n) + " " + what
	if n != 1 {
		text += "s"
	}
	for _, m := range more {
		text += " " + m
	}
	return text
}
