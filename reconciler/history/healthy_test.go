package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
)

// TestHealthySince reads outcomes "OUTCOME VERSION[>SERVES] [applied]", one a minute.
func TestHealthySince(t *testing.T) {
	begin := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	for events, want := range map[string]int{ // since which event; -1 for never
		"Healthy v2":                                      0,
		"Healthy v1":                                      -1,
		"Healthy v1, Healthy v2":                          1,
		"Healthy v2, Healthy v2":                          0, // another input changed
		"Healthy v2, Healthy v1":                          -1,
		"Healthy v2, Healthy v1, Healthy v2":              2,
		"Healthy v2, Failed v3":                           0, // nothing of it was applied
		"Healthy v2, Failed v3 applied":                   -1,
		"Healthy v2, Failed v2 applied, Healthy v2":       2,
		"Healthy v2, Failed v3 applied, RolledBack v3>v2": 2,
		"Healthy v2, RolledBack v3>v2 applied":            1,
		"Healthy v2, RolledBack v2>v1 applied":            -1,
		"Healthy v1, Healthy v2, Pinned v2>v1":            -1,
		"Healthy v2, Healthy v3, Pinned v3>v2":            2,
		"Healthy v2, Superseded v3":                       0,
		"Healthy v2, Superseded v3 applied":               -1,
		"Healthy v2, Superseded v2 applied, Healthy v2":   0,
		"Healthy v2, Removed v2":                          -1,
	} {
		var noted []gitops.Noted
		for i, e := range strings.Split(events, ", ") {
			words := strings.Fields(e)
			version, serves, _ := strings.Cut(words[1], ">")
			n := gitops.Noted{Event: gitops.Event{At: begin.Add(time.Duration(i) * time.Minute), Outcome: words[0], Version: version, Serves: serves}}
			if len(words) > 2 {
				n.Applied = n.At.Add(-time.Second)
			}
			noted = append(noted, n)
		}
		since, known := history.HealthySince(noted, "v2")
		wanted := time.Time{}
		if want >= 0 {
			wanted = begin.Add(time.Duration(want) * time.Minute)
		}
		if !known || !since.Equal(wanted) {
			t.Errorf("%s: since %v, known %v; want %v", events, since, known, wanted)
		}
	}
	if since, known := history.HealthySince(nil, "v2"); known || !since.IsZero() {
		t.Errorf("without outcomes: since %v, known %v", since, known)
	}
}
