package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// when is a flag's time: RFC 3339, a day or a minute of the local clock, or how long ago.
type when struct {
	time.Time
	// late reads a day without a time as its last second; else it is its first.
	late bool
	// zone is the clock's; the local one when nil.
	zone *time.Location
}

func (w *when) Type() string { return "TIME" }

func (w *when) String() string {
	if w.IsZero() {
		return ""
	}
	return w.Format(time.RFC3339)
}

func (w *when) Set(text string) error {
	zone := w.zone
	if zone == nil {
		zone = time.Local
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateOnly} {
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if layout == time.DateOnly && w.late {
			t = t.AddDate(0, 0, 1).Add(-time.Second)
		}
		if t.IsZero() { // that would be no time at all
			t = t.Add(1)
		}
		w.Time = t
		return nil
	}
	ago, err := ago(text)
	if err != nil {
		return err
	}
	w.Time = time.Now().Add(-ago)
	return nil
}

// ago reads 30d, 2w, and what time.ParseDuration reads.
func ago(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseUint(number, 10, 16); err == nil {
				return time.Duration(n) * length, nil
			}
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf(`%q is no time; write 2026-03-31, "2026-03-31 23:59", 2026-03-31T23:59:00Z, or 12h or 30d for that long ago`, text)
}
