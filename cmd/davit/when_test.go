package main

import (
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	for text, want := range map[string]string{
		"2026-03-31":                "2026-03-30T23:00:00Z",
		"2026-03-31 23:59":          "2026-03-31T22:59:00Z",
		"2026-03-31 23:59:30":       "2026-03-31T22:59:30Z",
		"2026-03-31T23:59":          "2026-03-31T22:59:00Z",
		"2026-03-31T23:59:00Z":      "2026-03-31T23:59:00Z",
		"2026-03-31T23:59:00-02:00": "2026-04-01T01:59:00Z",
	} {
		w := when{zone: zone}
		if err := w.Set(text); err != nil || stamp(w.Time) != want {
			t.Errorf("%s: %s, %v; want %s", text, stamp(w.Time), err, want)
		}
	}
	late := when{late: true, zone: zone}
	if err := late.Set("2026-03-31"); err != nil || stamp(late.Time) != "2026-03-31T22:59:59Z" {
		t.Errorf("the end of a day: %s, %v", stamp(late.Time), err)
	}
	for text, want := range map[string]time.Duration{"30d": 30 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "12h": 12 * time.Hour, "90m": 90 * time.Minute, "0s": 0} {
		w := when{zone: zone}
		if err := w.Set(text); err != nil || time.Since(w.Time).Round(time.Minute) != want {
			t.Errorf("%s ago: %s, %v", text, stamp(w.Time), err)
		}
	}
	for _, text := range []string{"", "yesterday", "-3h", "-3d", "3x", "2026-13-01", "31.3.2026"} {
		if err := new(when).Set(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}
