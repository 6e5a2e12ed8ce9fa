package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/registry/image"
)

// screen is what a terminal shows of what is written: lines, the cursor at the last.
type screen struct{ lines []string }

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	var up int
	if strings.HasPrefix(text, "\x1b[") && !strings.HasPrefix(text, "\x1b[J") {
		if _, err := fmt.Sscanf(text, "\x1b[%dA", &up); err != nil {
			return 0, err
		}
		_, text, _ = strings.Cut(text, "A")
	}
	s.lines = s.lines[:len(s.lines)-up]
	text = strings.TrimPrefix(text, "\r\x1b[J")
	for line := range strings.Lines(text) {
		s.lines = append(s.lines, strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}

func TestBars(t *testing.T) {
	s := &screen{}
	now := time.Unix(0, 0)
	p := &progress{w: s, now: func() time.Time { return now }, width: func() int { return 90 }}
	shows := func(want ...string) {
		t.Helper()
		if got := strings.Join(s.lines, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("shows\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		for _, line := range s.lines {
			if len([]rune(line)) >= 90 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
	}
	at := func(file string, done, total int64, after time.Duration) {
		now = now.Add(after)
		p.show(image.Progress{Version: "iris@v2", File: file, Done: done << 20, Total: total << 20})
	}
	at("a.safetensors", 1, 1000, 0)
	at("b.safetensors", 1, 4, 200*time.Millisecond)
	shows("iris@v2  a.safetensors  [                    ]    0% of 1000.0 MiB", "iris@v2  b.safetensors  [=====               ]   25% of 4.0 MiB")
	at("a.safetensors", 2, 1000, 10*time.Millisecond) // too soon to be drawn
	at("b.safetensors", 4, 4, time.Millisecond)
	shows("iris@v2  a.safetensors  [                    ]    0% of 1000.0 MiB")
	at("a.safetensors", 500, 1000, 5*time.Second)
	shows("iris@v2  a.safetensors  [==========          ]   50% of 1000.0 MiB  96.0 MiB/s  5s left")
	at("very/"+strings.Repeat("long/", 20)+"name.safetensors", 1, 2, time.Second)
	if len(s.lines) != 2 || !strings.HasPrefix(s.lines[1], "…") || !strings.Contains(s.lines[1], "name.safetensors") {
		t.Errorf("a long name: %q", s.lines)
	}
	p.clear()
	shows()
}

func TestProgressInAPipe(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	p := &progress{w: &b, now: func() time.Time { return now }, width: func() int { return 0 }}
	for done := int64(0); done <= 100; done++ {
		now = now.Add(time.Second)
		p.show(image.Progress{Version: "iris@v2", File: "a.safetensors", Done: done << 20, Total: 100 << 20})
	}
	p.clear()
	want := "iris@v2  a.safetensors   30% of 100.0 MiB  1.0 MiB/s  1m10s left\n" +
		"iris@v2  a.safetensors   60% of 100.0 MiB  1.0 MiB/s  40s left\n" +
		"iris@v2  a.safetensors   90% of 100.0 MiB  1.0 MiB/s  10s left\n" +
		"iris@v2  a.safetensors  100.0 MiB in 1m40s\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
