package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/davit-dev/davit/registry/image"
)

// redraw is the time between two drawings of bars, remind that between two lines about one file where there are none.
const redraw, remind = 100 * time.Millisecond, 30 * time.Second

// progress shows how files are read: on a terminal one bar each, while it lasts, elsewhere a line when it is done, or
// takes long.
type progress struct {
	w     io.Writer
	width func() int // 0: not a terminal
	now   func() time.Time

	mu    sync.Mutex
	files []*reading // under way, in the order of their beginning
	lines int        // drawn
	drawn time.Time
}

// reading is one file being read.
type reading struct {
	image.Progress
	began, told time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, now: time.Now, width: func() int { return 0 }}
	if file, ok := w.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(file.Fd())) {
		p.width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil || width < 40 {
				return 80
			}
			return width
		}
	}
	return p
}

// onTerminal shows progress there and nothing elsewhere, where other lines tell of a commit's way.
func onTerminal(w io.Writer) func(image.Progress) {
	if p := newProgress(w); p.width() > 0 {
		return p.show
	}
	return nil
}

func (p *progress) show(at image.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	f := p.file(at, now)
	f.Progress = at
	if at.Done == at.Total {
		p.files = slices.DeleteFunc(p.files, func(other *reading) bool { return other == f })
	}
	width := p.width()
	switch {
	case width > 0 && (now.Sub(p.drawn) >= redraw || at.Done == at.Total):
		p.drawn = now
		p.draw(now, width)
	case width == 0 && at.Done == at.Total:
		fmt.Fprintf(p.w, "%s  %s  %s in %s\n", at.Version, at.File, bytesText(at.Done), duration(now.Sub(f.began)))
	case width == 0 && now.Sub(f.told) >= remind:
		f.told = now
		fmt.Fprintln(p.w, strings.Join(f.columns(now), "  "))
	}
}

// clear takes the bars away.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = nil
	if width := p.width(); width > 0 {
		p.draw(p.now(), width)
	}
}

func (p *progress) file(at image.Progress, now time.Time) *reading {
	for _, f := range p.files {
		if f.Version == at.Version && f.File == at.File {
			if at.Done < f.Done { // it is read again
				f.began = now
			}
			return f
		}
	}
	f := &reading{at, now, now}
	p.files = append(p.files, f)
	return f
}

// draw writes over what was drawn.
func (p *progress) draw(now time.Time, width int) {
	var b strings.Builder
	if p.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.lines)
	}
	b.WriteString("\r\x1b[J") // to the end of the screen
	for _, f := range p.files {
		b.WriteString(f.bar(now, width))
		b.WriteByte('\n')
	}
	p.lines = len(p.files)
	io.WriteString(p.w, b.String())
}

// columns are the file, how much of it is read, the rate, and the time that is left.
func (f *reading) columns(now time.Time) []string {
	text := []string{f.Version + "  " + f.File, fmt.Sprintf("%3d%% of %s", 100*f.Done/max(f.Total, 1), bytesText(f.Total))}
	if took := now.Sub(f.began); took > time.Second && f.Done > 0 {
		rate := float64(f.Done) / took.Seconds()
		left := time.Duration(float64(f.Total-f.Done) / rate * float64(time.Second))
		text = append(text, bytesText(int64(rate))+"/s", duration(left)+" left")
	}
	return text
}

// bar is one line, not longer than the terminal is wide.
func (f *reading) bar(now time.Time, width int) string {
	text := f.columns(now)
	name, rest := []rune(text[0]), strings.Join(text[1:], "  ")
	const bar = 20
	if room := width - 1 - len(rest) - bar - 6; room < len(name) {
		name = append([]rune("…"), name[len(name)-max(room-1, 0):]...)
	}
	full := int(bar * f.Done / max(f.Total, 1))
	return fmt.Sprintf("%s  [%s%s]  %s", string(name), strings.Repeat("=", full), strings.Repeat(" ", bar-full), rest)
}

// bytesText is a number of bytes in the unit that suits it.
func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func duration(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
